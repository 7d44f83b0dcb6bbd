# Logs, attach, statistics and files.
POST /containers/create?name={p}s
  {"Image":"shoaltest:latest","Cmd":["sh","-c","echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; echo x > /new; rm /www/index.html; mkdir /d; sleep 1000"],
  "StopSignal":"SIGKILL","Labels":{"a":"b"},"OpenStdin":true,"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"labels":"a"}}}}
  >s=Id
GET /containers/{s}/logs?stdout=1
GET /containers/{s}/stats?stream=0
  shape
GET /containers/{s}/stats?stream=0&one-shot=1
  shape
GET /containers/{s}/changes
POST /containers/{s}/start
! pause 1200
GET /containers/{s}/logs
GET /containers/{s}/logs?stdout=1
GET /containers/{s}/logs?stderr=1
GET /containers/{s}/logs?stdout=1&stderr=0&tail=1
GET /containers/{s}/logs?stdout=1&tail=0
GET /containers/{s}/logs?stdout=1&tail=x
GET /containers/{s}/logs?stdout=1&tail=-2
GET /containers/{s}/logs?stdout=1&tail=all
GET /containers/{s}/logs?stdout=1&details=1
GET /containers/{s}/logs?stdout=1&timestamps=1&tail=1
GET /containers/{s}/logs?stdout=1&since=x
GET /containers/{s}/logs?stdout=1&until=x
GET /containers/{s}/logs?stdout=1&since=1&until=2
GET /containers/{s}/logs?stdout=1&since=2000000000
GET /containers/{s}/logs?stdout=1&since=1.5
GET /containers/{p}nobody/logs?stdout=1
GET /containers/{p}nobody/logs
POST /containers/{s}/attach?logs=1&stdout=1&stderr=0
POST /containers/{s}/attach?logs=1&stdout=1&stream=0&stdin=0&detachKeys=ctrl-x
POST /containers/{s}/attach?stream=1&stdout=1&detachKeys=nonsense-keys
POST /containers/{p}nobody/attach?stream=1&stdout=1
GET /containers/{s}/attach/ws?logs=1&stdout=1&stream=0
GET /containers/{p}nobody/attach/ws?logs=1&stdout=1&stderr=1&stdin=1&stream=0&detachKeys=ctrl-x
GET /containers/{s}/stats?stream=false
  shape
GET /containers/{s}/stats?stream=0&one-shot=1
  shape
GET /containers/{p}nobody/stats?stream=0
GET /containers/{s}/changes
GET /containers/{s}/export
GET /containers/{p}nobody/export
HEAD /containers/{s}/archive?path=/new
HEAD /containers/{s}/archive?path=/nope
HEAD /containers/{s}/archive
GET /containers/{s}/archive?path=/new
GET /containers/{s}/archive?path=/nope
GET /containers/{s}/archive?path=
GET /containers/{s}/archive
GET /containers/{p}nobody/archive?path=/
PUT /containers/{s}/archive?path=/d
  tar f=hello
PUT /containers/{s}/archive?path=/nope
  tar f=hello
PUT /containers/{s}/archive?path=/new
  tar f=hello
PUT /containers/{s}/archive
  tar f=hello
PUT /containers/{s}/archive?path=/&noOverwriteDirNonDir=1&copyUIDGID=1
  tar d=hello
PUT /containers/{s}/archive?path=/d
  this is no archive at all, whatever it may say of itself
PUT /containers/{p}nobody/archive?path=/d
  tar f=hello
GET /containers/{s}/changes
POST /containers/{s}/kill
POST /containers/{s}/wait
GET /containers/{s}/logs?stdout=1&stderr=1&follow=1
GET /containers/{s}/stats?stream=0
  shape
GET /containers/{s}/changes
DELETE /containers/{s}
# A terminal: no frames.
POST /containers/create?name={p}t
  {"Image":"shoaltest:latest","Cmd":["echo","hi"],"Tty":true}
  >t=Id
POST /containers/{t}/start
POST /containers/{t}/wait
GET /containers/{t}/logs?stdout=1
GET /containers/{t}/logs?stdout=1&stderr=1&follow=1
POST /containers/{t}/attach?logs=1&stdout=1
DELETE /containers/{t}
# A log that is kept nowhere.
POST /containers/create?name={p}u
  {"Image":"shoaltest:latest","Cmd":["echo","hi"],"HostConfig":{"LogConfig":{"Type":"none"}}}
  >u=Id
POST /containers/{u}/start
POST /containers/{u}/wait
GET /containers/{u}/logs?stdout=1
DELETE /containers/{u}

# The daemon itself.
GET /_ping
HEAD /_ping
GET /version
  shape
GET /info
  shape
POST /auth
  {"username":"u","password":"p","serveraddress":"http://127.0.0.1:9/v1/"}
POST /auth
  nonsense
POST /auth
GET /no/such/page
GET /events?since=x
GET /events?since=5&until=3
GET /events?since=1&until=2
GET /events?since=1&until=2&filters={"type":["container"]}
GET /events?since=1&until=2&filters=nonsense
GET /events?since=1&until=2&filters={"nope":["x"]}
GET /system/df?type=nope
  since 1.42
GET /system/df?type=build-cache
  shape
  since 1.42
GET /system/df?type=volume&type=container
  shape
  since 1.52
GET /system/df
  shape
  since 1.52
GET /system/df?verbose=1
  shape
  since 1.52
# What happened, told afterwards.
POST /containers/create?name={p}ev
  {"Image":"shoaltest:latest","Cmd":["sh","-c","exit 2"],"Labels":{"l":"m"},"HostConfig":{"NetworkMode":"none"}}
  >ev=Id
POST /containers/{ev}/start
POST /containers/{ev}/wait
! pause 500
POST /containers/{ev}/rename?name={p}ew
DELETE /containers/{ev}
! pause 1100
GET /events?since=1&until={now}&filters={"container":["{ev}"]}
GET /events?since=1&until={now}&filters={"container":["{ev}"]}
GET /events?since=1&until={now}&filters={"container":["{ev}"],"event":["create","destroy"]}
GET /events?since=1&until={now}&filters={"container":["{ev}"],"type":["container"],"label":["l=m"],"event":["die"]}

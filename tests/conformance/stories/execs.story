# Programs run beside a container's own.
POST /containers/create?name={p}e
  {"Image":"shoaltest:latest","Cmd":["sleep","1000"],"StopSignal":"SIGKILL"}
  >e=Id
POST /containers/{e}/exec
  {"Cmd":["true"]}
POST /containers/{p}nobody/exec
  {"Cmd":["true"]}
POST /containers/{e}/start
POST /containers/{e}/exec
  {}
POST /containers/{e}/exec
  {"Cmd":[]}
POST /containers/{e}/exec
  {"Cmd":"true"}
POST /containers/{e}/exec
  nonsense
POST /containers/{e}/exec
  {"Cmd":["true"],"DetachKeys":"nonsense-keys"}
POST /containers/{e}/exec
  {"Cmd":["true"],"User":"nobody-of-that-name"}
POST /containers/{e}/exec
  {"Cmd":["sh","-c","echo out; sleep 0.3; echo err >&2; exit 3"],"AttachStdout":true,"AttachStderr":true,"Env":["A=b"],"WorkingDir":"/tmp","Privileged":true,"User":"app","DetachKeys":"ctrl-x"}
  >x=Id
GET /exec/{x}/json
POST /exec/{x}/resize?h=10&w=10
POST /exec/{x}/start
  {"Detach":false,"Tty":false}
POST /exec/{x}/start
  {}
GET /exec/{x}/json
POST /exec/{x}/resize?h=10&w=10
POST /containers/{e}/exec
  {"Cmd":["echo","hi"],"AttachStdout":true,"Tty":true}
  >x=Id
POST /exec/{x}/start
  {"Tty":true,"ConsoleSize":[20,30]}
GET /exec/{x}/json
POST /containers/{e}/exec
  {"Cmd":["no-such-program"],"AttachStdout":true}
  >x=Id
POST /exec/{x}/start
  {"Detach":true}
GET /exec/{x}/json
POST /containers/{e}/exec
  {"Cmd":["sleep","900"]}
  >x=Id
POST /exec/{x}/start
  {"Detach":true}
GET /exec/{x}/json
GET /containers/{e}/json
POST /exec/{x}/resize?h=x&w=1
POST /exec/{x}/resize?h=1
POST /exec/{x}/start
  nonsense
POST /exec/nobody/start
  {"Detach":true}
POST /exec/nobody/start
  {}
POST /exec/nobody/resize?h=1&w=1
GET /exec/nobody/json
POST /containers/{e}/kill
POST /containers/{e}/wait
GET /exec/{x}/json
POST /containers/{e}/exec
  {"Cmd":["true"]}
DELETE /containers/{e}
GET /exec/{x}/json

# Making, finding, looking at and removing containers: every parameter, and each refusal.
POST /containers/create
  {}
POST /containers/create
  {"Image":"shoaltest:latest","Cmd":"true"
POST /containers/create
  @Content-Type: text/plain
  {"Image":"shoaltest:latest"}
POST /containers/create?name={p}%20x
  {"Image":"shoaltest:latest"}
POST /containers/create?name=a
  {"Image":"shoaltest:latest"}
POST /containers/create?name={p}bad01
  {"Image":"no-such-image:7"}
POST /containers/create?name={p}bad02
  {"Image":"Bad//Name"}
POST /containers/create?name={p}bad03
  {"Cmd":["true"]}
POST /containers/create?name={p}bad04
  {"Image":"shoaltest:latest","HostConfig":{"Memory":1}}
POST /containers/create?name={p}bad05
  {"Image":"shoaltest:latest","HostConfig":{"NetworkMode":"{p}no-such-net","RestartPolicy":{"Name":"sometimes"}}}
POST /containers/create?name={p}bad06
  {"Image":"shoaltest:latest","HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}
POST /containers/create?name={p}bad07
  {"Image":"shoaltest:latest","HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}}
POST /containers/create?name={p}bad08
  {"Image":"shoaltest:latest","WorkingDir":"not/absolute"}
POST /containers/create?name={p}bad09
  {"Image":"shoaltest:latest","StopSignal":"SIGNOPE"}
POST /containers/create?name={p}bad10
  {"Image":"shoaltest:latest","Env":["=x"]}
POST /containers/create?name={p}bad11
  {"Image":"shoaltest:latest","ExposedPorts":{"x/tcp":{}}}
POST /containers/create?name={p}bad12
  {"Image":"shoaltest:latest","HostConfig":{"PortBindings":{"80/foo":[{"HostPort":"1"}]}}}
POST /containers/create?name={p}bad13
  {"Image":"shoaltest:latest","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"70000"}]}}}
POST /containers/create?name={p}bad14
  {"Image":"shoaltest:latest","Healthcheck":{"Test":["CMD","true"],"Interval":5}}
POST /containers/create?name={p}bad15
  {"Image":"shoaltest:latest","Healthcheck":{"Test":["CMD","true"],"Retries":-1}}
POST /containers/create?name={p}bad16
  {"Image":"shoaltest:latest","HostConfig":{"LogConfig":{"Type":"nope"}}}
POST /containers/create?name={p}bad17
  {"Image":"shoaltest:latest","HostConfig":{"Runtime":"nope"}}
POST /containers/create?name={p}bad18
  {"Image":"shoaltest:latest","HostConfig":{"Isolation":"hyperv"}}
POST /containers/create?name={p}bad19
  {"Image":"shoaltest:latest","HostConfig":{"CapAdd":["NOPE"]}}
POST /containers/create?name={p}bad20
  {"Image":"shoaltest:latest","HostConfig":{"IpcMode":"nope"}}
POST /containers/create?name={p}bad21
  {"Image":"shoaltest:latest","HostConfig":{"PidMode":"nope"}}
POST /containers/create?name={p}bad22
  {"Image":"shoaltest:latest","HostConfig":{"UTSMode":"nope"}}
POST /containers/create?name={p}bad23
  {"Image":"shoaltest:latest","HostConfig":{"CgroupnsMode":"nope"}}
  since 1.41
POST /containers/create?name={p}bad24
  {"Image":"shoaltest:latest","HostConfig":{"UsernsMode":"nope"}}
POST /containers/create?name={p}bad25
  {"Image":"shoaltest:latest","HostConfig":{"Binds":["relative:/x:rw:ro"]}}
POST /containers/create?name={p}bad26
  {"Image":"shoaltest:latest","HostConfig":{"Mounts":[{"Type":"nope","Target":"/x"}]}}
POST /containers/create?name={p}bad27
  {"Image":"shoaltest:latest","HostConfig":{"Mounts":[{"Type":"bind","Source":"/no-such-folder-at-all","Target":"/x"}]}}
POST /containers/create?name={p}bad28
  {"Image":"shoaltest:latest","HostConfig":{"Mounts":[{"Type":"volume","Target":""}]}}
POST /containers/create?name={p}bad29
  {"Image":"shoaltest:latest","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/a","Source":"b"}]}}
POST /containers/create?name={p}bad30
  {"Image":"shoaltest:latest","HostConfig":{"VolumesFrom":["{p}nobody"]}}
POST /containers/create?name={p}bad31
  {"Image":"shoaltest:latest","HostConfig":{"NetworkMode":"host","Links":["a:b"]}}
POST /containers/create?name={p}bad32&platform=bad/plat/form/now
  {"Image":"shoaltest:latest"}
  since 1.41
POST /containers/create?name={p}bad33&platform=linux/s390x
  {"Image":"shoaltest:latest"}
  since 1.41
# One that is right.
POST /containers/create?name={p}one&platform=linux/amd64
  {"Image":"shoaltest:latest","Cmd":["sleep","1000"],"Labels":{"story":"{p}","n":"1"},"Env":["A=b"],"ExposedPorts":{"80/tcp":{}},
  "Volumes":{"/data":{}},"StopSignal":"SIGKILL","WorkingDir":"/","User":"","Hostname":"h","Domainname":"d",
  "HostConfig":{"Memory":67108864,"CpuShares":512,"Tmpfs":{"/t":"size=1m"},"CapAdd":["NET_ADMIN"],"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2},
  "PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]},"Dns":["9.9.9.9"],"ExtraHosts":["a:1.2.3.4"],"ShmSize":1048576,
  "Ulimits":[{"Name":"nofile","Soft":100,"Hard":200}],"Init":true,"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}}}}
  >one=Id
POST /containers/create?name={p}one
  {"Image":"shoaltest:latest"}
POST /containers/create?name={p}two
  {"Image":"shoaltest:latest","Cmd":["sh","-c","echo out; exit 3"],"Labels":{"story":"{p}","n":"2"}}
  >two=Id
GET /containers/{one}/json
GET /containers/{p}one/json?size=1
GET /containers/{p}nobody/json
GET /containers/json?all=1&filters={"label":["story={p}"]}
GET /containers/json?all=true&limit=1&filters={"label":{"story={p}":true}}
GET /containers/json?all=1&size=1&filters={"name":["{p}one"]}
GET /containers/json?filters={"label":["story={p}"]}
GET /containers/json?limit=x&filters={"label":["story={p}"]}
GET /containers/json?limit=-3&filters={"label":["story={p}"]}
GET /containers/json?filters=nonsense
GET /containers/json?filters={"nope":["x"]}
GET /containers/json?filters={"status":["nope"]}
GET /containers/json?filters={"exited":["x"]}
GET /containers/json?filters={"health":["nope"]}
GET /containers/json?filters={"is-task":["maybe"]}
GET /containers/json?filters={"before":["{p}nobody"]}
GET /containers/json?filters={"publish":["x/y"]}
GET /containers/json?all=1&filters={"since":["{p}one"],"label":["story={p}"]}
GET /containers/json?all=1&filters={"before":["{p}two"],"label":["story={p}"]}
GET /containers/json?all=1&filters={"status":["created"],"label":["n=2","story={p}"]}
GET /containers/json?all=1&filters={"id":["{one}"]}
GET /containers/json?all=1&filters={"volume":["/data"],"label":["story={p}"]}
GET /containers/json?all=1&filters={"network":["bridge"],"label":["story={p}"]}
GET /containers/json?all=1&filters={"expose":["80"],"label":["story={p}"]}
GET /containers/json?all=1&filters={"ancestor":["shoaltest:latest"],"label":["story={p}"]}
GET /containers/json?all=1&filters={"exited":["0"],"label":["story={p}"]}
POST /containers/{one}/start
POST /containers/{two}/start
POST /containers/{two}/wait
GET /containers/{one}/json
GET /containers/{two}/json
GET /containers/json?all=1&filters={"label":["story={p}"]}
GET /containers/json?filters={"label":["story={p}"]}
DELETE /containers/{p}nobody
DELETE /containers/{one}
DELETE /containers/{one}?link=1
DELETE /containers/{p}two/x?link=1
DELETE /containers/{two}?v=0&force=0
DELETE /containers/{one}?v=1&force=1
DELETE /containers/{one}?force=1
POST /containers/prune?filters={"label":["story={p}"]}
DELETE /containers/{p}bad01?force=1&v=1
DELETE /containers/{p}bad02?force=1&v=1
DELETE /containers/{p}bad03?force=1&v=1
DELETE /containers/{p}bad04?force=1&v=1
DELETE /containers/{p}bad05?force=1&v=1
DELETE /containers/{p}bad06?force=1&v=1
DELETE /containers/{p}bad07?force=1&v=1
DELETE /containers/{p}bad08?force=1&v=1
DELETE /containers/{p}bad09?force=1&v=1
DELETE /containers/{p}bad10?force=1&v=1
DELETE /containers/{p}bad11?force=1&v=1
DELETE /containers/{p}bad12?force=1&v=1
DELETE /containers/{p}bad13?force=1&v=1
DELETE /containers/{p}bad14?force=1&v=1
DELETE /containers/{p}bad15?force=1&v=1
DELETE /containers/{p}bad16?force=1&v=1
DELETE /containers/{p}bad17?force=1&v=1
DELETE /containers/{p}bad18?force=1&v=1
DELETE /containers/{p}bad19?force=1&v=1
DELETE /containers/{p}bad20?force=1&v=1
DELETE /containers/{p}bad21?force=1&v=1
DELETE /containers/{p}bad22?force=1&v=1
DELETE /containers/{p}bad23?force=1&v=1
DELETE /containers/{p}bad24?force=1&v=1
DELETE /containers/{p}bad25?force=1&v=1
DELETE /containers/{p}bad26?force=1&v=1
DELETE /containers/{p}bad27?force=1&v=1
DELETE /containers/{p}bad28?force=1&v=1
DELETE /containers/{p}bad29?force=1&v=1
DELETE /containers/{p}bad30?force=1&v=1
DELETE /containers/{p}bad31?force=1&v=1
DELETE /containers/{p}bad32?force=1&v=1
DELETE /containers/{p}bad33?force=1&v=1
POST /containers/prune?filters={"nope":["x"]}
POST /containers/prune?filters={"until":["nope"]}
POST /containers/prune?filters=nonsense

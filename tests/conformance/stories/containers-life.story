# What may be done with a container, and what is said when it may not.
POST /containers/create?name={p}l
  {"Image":"shoaltest:latest","Cmd":["sleep","1000"],"StopSignal":"SIGKILL"}
  >l=Id
POST /containers/{l}/stop
POST /containers/{l}/kill
POST /containers/{l}/pause
POST /containers/{l}/unpause
POST /containers/{l}/resize?h=10&w=10
GET /containers/{l}/top
POST /containers/{p}nobody/start
POST /containers/{p}nobody/stop
POST /containers/{p}nobody/restart
POST /containers/{p}nobody/kill
POST /containers/{p}nobody/pause
POST /containers/{p}nobody/unpause
POST /containers/{p}nobody/rename?name=x
POST /containers/{p}nobody/resize?h=1&w=1
POST /containers/{p}nobody/wait
POST /containers/{p}nobody/update
  {}
GET /containers/{p}nobody/top
GET /containers/{p}nobody/changes
POST /containers/{l}/start?detachKeys=nonsense-keys
POST /containers/{l}/start?detachKeys=ctrl-a
POST /containers/{l}/start
GET /containers/{l}/top
  shape
GET /containers/{l}/top?ps_args=-o%20pid,args
  shape
GET /containers/{l}/top?ps_args=-o%20nonsense
GET /containers/{l}/top?ps_args=aux
  shape
GET /containers/{l}/changes
POST /containers/{l}/pause
POST /containers/{l}/pause
GET /containers/{l}/json
POST /containers/{l}/start
POST /containers/{l}/restart?t=x
POST /containers/{l}/exec
  {"Cmd":["true"]}
POST /containers/{l}/unpause
POST /containers/{l}/unpause
POST /containers/{l}/resize?h=x&w=10
POST /containers/{l}/resize?h=10
POST /containers/{l}/resize?w=10
POST /containers/{l}/resize?h=10&w=-1
POST /containers/{l}/resize?h=10&w=99999999999
POST /containers/{l}/kill?signal=nope
POST /containers/{l}/kill?signal=SIGNOPE
POST /containers/{l}/kill?signal=-1
POST /containers/{l}/kill?signal=99
POST /containers/{l}/kill?signal=0
POST /containers/{l}/kill?signal=WINCH
POST /containers/{l}/kill?signal=sigwinch
POST /containers/{l}/kill?signal=28
POST /containers/{l}/stop?t=x
POST /containers/{l}/stop?t=1&signal=nope
POST /containers/{l}/rename
POST /containers/{l}/rename?name=
POST /containers/{l}/rename?name=b@d
POST /containers/{l}/rename?name={p}l
POST /containers/{l}/rename?name={p}m
GET /containers/{p}l/json
POST /containers/{p}m/rename?name=/{p}l
POST /containers/{l}/wait?condition=nope
POST /containers/{l}/update
  {"Memory":1}
POST /containers/{l}/update
  {"Memory":"x"}
POST /containers/{l}/update
  {"CpuShares":256,"Memory":67108864,"MemorySwap":134217728,"RestartPolicy":{"Name":"unless-stopped"}}
POST /containers/{l}/update
  {"RestartPolicy":{"Name":"nope"}}
POST /containers/{l}/update
  {"NanoCpus":1000000000000}
POST /containers/{l}/update
  {"CpusetCpus":"777"}
POST /containers/{l}/update
  not json
POST /containers/{l}/update
  {"RestartPolicy":{"Name":"no"}}
POST /containers/{l}/restart?t=0
POST /containers/{l}/restart?t=1&signal=KILL
POST /containers/{l}/restart?t=1&signal=nope
GET /containers/{l}/json
POST /containers/{l}/stop?t=1&signal=KILL
POST /containers/{l}/stop
POST /containers/{l}/wait
POST /containers/{l}/wait?condition=not-running
GET /containers/{l}/json
POST /containers/{l}/restart?t=0
POST /containers/{l}/kill
POST /containers/{l}/wait?condition=not-running
POST /containers/{l}/kill
POST /containers/{l}/wait?condition=
# One that cannot start, and one that goes by itself.
POST /containers/create?name={p}n
  {"Image":"shoaltest:latest","Cmd":["no-such-program"]}
  >n=Id
POST /containers/{n}/start
GET /containers/{n}/json
POST /containers/{l}/start
  {"Binds":["/tmp:/x"]}
DELETE /containers/{n}
POST /containers/create?name={p}g
  {"Image":"shoaltest:latest","Cmd":["sh","-c","sleep 0.5; exit 4"],"HostConfig":{"AutoRemove":true}}
  >g=Id
POST /containers/{g}/start
POST /containers/{g}/wait?condition=removed
GET /containers/{g}/json
POST /containers/{l}/rename?name={p}k
DELETE /containers/{p}k?force=1

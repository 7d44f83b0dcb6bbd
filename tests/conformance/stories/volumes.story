# Volumes.
POST /volumes/create
  {"Name":"{p}v","Labels":{"story":"{p}"},"DriverOpts":{},"Driver":"local"}
POST /volumes/create
  {"Name":"{p}v"}
POST /volumes/create
  {"Name":"{p}v","Driver":"nope"}
POST /volumes/create
  {"Name":"b@d/name"}
POST /volumes/create
  {"Name":"x"}
POST /volumes/create
  {"Name":"{p}w","Driver":"nope"}
POST /volumes/create
  {"Name":"{p}w","DriverOpts":{"nope":"x"}}
POST /volumes/create
  {"Name":"{p}w","DriverOpts":{"type":"tmpfs"}}
POST /volumes/create
  {"Name":"{p}w","DriverOpts":{"device":"x"}}
POST /volumes/create
  {"Name":"{p}w","DriverOpts":{"size":"nope"}}
POST /volumes/create
  {"Name":5}
POST /volumes/create
  nonsense
POST /volumes/create
POST /volumes/create
  {"Name":"{p}cluster","ClusterVolumeSpec":{"Group":"g"}}
  since 1.42
POST /volumes/create
  {"Name":"{p}t","Driver":"local","DriverOpts":{"type":"tmpfs","device":"tmpfs","o":"size=1m"},"Labels":{"story":"{p}","k":"v"}}
POST /volumes/create
  {"Labels":{"story":"{p}"}}
  >anonymous=Name
GET /volumes/{p}v
GET /volumes/{p}t
GET /volumes/{anonymous}
GET /volumes/{p}nobody
GET /volumes?filters={"label":["story={p}"]}
GET /volumes?filters={"label":["k=v","story={p}"]}
GET /volumes?filters={"name":["{p}v"]}
GET /volumes?filters={"driver":["local"],"name":["{p}t"]}
GET /volumes?filters={"dangling":["true"],"label":["story={p}"]}
GET /volumes?filters={"dangling":["false"],"label":["story={p}"]}
GET /volumes?filters={"dangling":["maybe"]}
GET /volumes?filters={"nope":["x"]}
GET /volumes?filters=nonsense
POST /containers/create?name={p}c
  {"Image":"shoaltest:latest","Cmd":["sleep","1000"],"StopSignal":"SIGKILL","HostConfig":{"Binds":["{p}v:/v"],"Mounts":[{"Type":"volume","Source":"{p}t","Target":"/t","ReadOnly":true}]}}
  >c=Id
GET /containers/{c}/json
POST /containers/{c}/start
GET /containers/{c}/json
GET /volumes/{p}t
GET /volumes?filters={"dangling":["false"],"label":["story={p}"]}
DELETE /volumes/{p}v
DELETE /volumes/{p}v?force=1
DELETE /volumes/{p}nobody
DELETE /volumes/{p}nobody?force=1
POST /volumes/prune?filters={"label":["story={p}","k=v"]}
POST /volumes/prune?filters={"nope":["x"]}
POST /volumes/prune?filters={"all":["maybe"]}
  since 1.42
DELETE /containers/{c}?force=1
PUT /volumes/{p}v?version=1
  {}
  since 1.42
PUT /volumes/{p}v
  {}
  since 1.42
DELETE /volumes/{p}v?force=0
POST /volumes/prune?filters={"label":["story={p}"]}
POST /volumes/prune?filters={"label":["story={p}"],"all":["true"]}
  since 1.42
GET /volumes?filters={"label":["story={p}"]}

# A volume plugin for tests: python3 -c ... SOCKET ROOT ROOT-AS-THE-ENGINE-SEES-IT; ends, and leaves nothing, with its input
import http.server,json,os,shutil,socketserver,sys,threading
sock,root,shown=sys.argv[1:4]
os.makedirs(root,exist_ok=True)
vols={}; log=open(root+".log","a",buffering=1)
class H(http.server.BaseHTTPRequestHandler):
    protocol_version="HTTP/1.1"
    def log_message(s,*a): pass
    def address_string(s): return "x"
    def do_POST(s):
        if s.headers.get("Transfer-Encoding")=="chunked":
            b=b""
            while True:
                n=int(s.rfile.readline().strip(),16); d=s.rfile.read(n); s.rfile.readline()
                if n==0: break
                b+=d
        else: b=s.rfile.read(int(s.headers.get("Content-Length") or 0))
        q=json.loads(b or b"{}"); m=s.path[1:]; n=q.get("Name"); a={"Err":""}
        log.write(m+" "+json.dumps(q,sort_keys=True)+"\n")
        if m=="Plugin.Activate": a={"Implements":["VolumeDriver"]}
        elif m=="VolumeDriver.Capabilities": a={"Capabilities":{"Scope":"global"}}
        elif m=="VolumeDriver.Create":
            if (q.get("Opts") or {}).get("fail"): a={"Err":"told to fail"}
            else: vols[n]=q.get("Opts") or {}; os.makedirs(f"{root}/{n}",exist_ok=True)
        elif m=="VolumeDriver.List": a={"Volumes":[{"Name":v,"Mountpoint":f"{shown}/{v}"} for v in vols],"Err":""}
        elif n not in vols: a={"Err":"no such volume"}
        elif m=="VolumeDriver.Remove":
            if vols[n].pop("sticky",None): a={"Err":"cannot let go"}
            else: vols.pop(n)
        elif m in("VolumeDriver.Mount","VolumeDriver.Path"): 
            a={"Mountpoint":f"{shown}/{n}","Err":""}
            if m.endswith("Mount") and vols[n].get("nomount"): a={"Err":"will not mount"}
        elif m=="VolumeDriver.Get": a={"Volume":{"Name":n,"Mountpoint":f"{shown}/{n}","Status":{"hello":"world"},"CreatedAt":"2020-01-02T03:04:05Z"},"Err":""}
        d=json.dumps(a).encode(); s.send_response(200); s.send_header("Content-Type","application/json"); s.send_header("Content-Length",str(len(d))); s.end_headers(); s.wfile.write(d)
class S(socketserver.ThreadingMixIn,socketserver.UnixStreamServer): daemon_threads=True
try: os.unlink(sock)
except OSError: pass
threading.Thread(target=S(sock,H).serve_forever,daemon=True).start()
sys.stdin.read()
for f in (sock,root+".log"): os.path.exists(f) and os.unlink(f)
shutil.rmtree(root,ignore_errors=True)

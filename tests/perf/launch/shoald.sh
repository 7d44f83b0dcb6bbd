# Our daemon: bind its folder to /opt/shoal with NODE_BIND=<folder>:/opt/shoal.
exec /opt/shoal/shoald --data-root "$NODE_DIR/data" --exec-root /run/shoal --pidfile /run/shoald.pid --log-level warn --cgroup-parent "/peerlab-$NODE_NAME" -H "unix://$NODE_SOCK" --insecure-registry 10.99.0.0/24 "$@"

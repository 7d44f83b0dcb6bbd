# Our daemon with syncs that do nothing (tools/nosync beside it in the bound folder): the other side of `side-by-side durable`.
exec /opt/shoal/nosync /opt/shoal/shoald --data-root "$NODE_DIR/data" --exec-root /run/shoal --pidfile /run/shoald.pid --log-level warn --cgroup-parent "/peerlab-$NODE_NAME" -H "unix://$NODE_SOCK" "$@"

// A daemon that does nothing: what the stock CLI takes by itself. drain SOCKET: answers every request at once, with what ends a
// pull or a load, and throws bodies away. Chunked bodies end with their last five bytes here, which is enough for one that is a tar.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#define CK(x) do { if ((x) < 0) { perror(#x); exit(1); } } while (0)
static char buf[128 << 10];
static const char END[] = "0\r\n\r\n", LINE[] = "{\"status\":\"done\"}\n";
enum { TAIL = sizeof END - 1 };
// One connection, until it ends.
static void serve(int c) {
  size_t have = 0;
  for (;;) {
    char *e;
    while (!(e = memmem(buf, have, "\r\n\r\n", 4))) {
      ssize_t got = have < sizeof buf ? recv(c, buf + have, sizeof buf - have, 0) : 0;
      if (got <= 0) return;
      have += got;
    }
    size_t head = e + 4 - buf;
    int body = memmem(buf, head, "chunked", 7) != 0, ping = memmem(buf, head, "HEAD ", 5) == buf;
    have -= head;
    memmove(buf, buf + head, have);
    if (body) {
      char tail[TAIL] = "";
      for (;;) {
        size_t part = have < TAIL ? have : TAIL;
        memmove(tail, tail + part, TAIL - part);
        memcpy(tail + TAIL - part, buf + have - part, part);
        if (!memcmp(tail, END, TAIL)) break;
        ssize_t got = recv(c, buf, sizeof buf, 0);
        if (got <= 0) return;
        have = got;
      }
      have = 0;
    }
    char answer[256];
    int count = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                         ping ? 0 : sizeof LINE - 1, ping ? "" : LINE);
    if (send(c, answer, count, MSG_NOSIGNAL) < 0) return;
  }
}
int main(int argc, char **argv) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof at.sun_path) { fputs("drain SOCKET\n", stderr); return 2; }
  strcpy(at.sun_path, argv[1]);
  unlink(argv[1]);
  int s;
  CK(s = socket(AF_UNIX, SOCK_STREAM, 0));
  CK(bind(s, (struct sockaddr *)&at, sizeof at));
  CK(listen(s, 8));
  for (;;) {
    int c;
    CK(c = accept(s, 0, 0));
    serve(c);
    close(c);
  }
}

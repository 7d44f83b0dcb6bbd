// nosync PROGRAM [ARGS]: every sync of the program and its children succeeds without being done, by a seccomp filter
// (SECCOMP_RET_ERRNO with 0, seccomp(2)). What durability costs is the difference to the program alone.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define SKIP(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO)

int main(int argc, char **argv) {
  struct sock_filter code[] = {NR, SKIP(fsync), SKIP(fdatasync), SKIP(syncfs), SKIP(sync), SKIP(msync), SKIP(sync_file_range),
                               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (argc < 2) return fprintf(stderr, "usage: nosync PROGRAM [ARGS]\n"), 2;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return perror("nosync: seccomp"), 1;
  execv(argv[1], argv + 1);
  return perror(argv[1]), 127;
}

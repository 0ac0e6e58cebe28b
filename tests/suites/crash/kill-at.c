/* Kills a process at one of its system calls.
 *
 *   kill-at FOLDER OUT ERR [N entry|exit] -- PROGRAM ARGUMENTS...
 *
 * Runs the program with its output in the files OUT and ERR and counts the
 * system calls of all its threads that change files of FOLDER. At number N it is
 * killed (SIGKILL, all threads): at the entry the call has no effect, at the exit
 * it has its whole one. Without N it counts.
 *
 * Commands, a line each, on standard input:
 *   arm N entry|exit   begins to count anew; 0 kills never
 *   count              answers "count N"
 *   kill               kills it now
 *
 * On standard output: "started PID", then answers, then "killed N" or, if it ended by
 * itself, "ended N". A line that begins with "refused" says what the system does not
 * allow.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The kernel's own, which older headers do not have. */
struct call_info {
  unsigned char op, pad[3];
  unsigned int arch;
  unsigned long long ip, sp, nr, args[6];
  unsigned int data;
};
#ifndef PTRACE_GET_SYSCALL_INFO
#define PTRACE_GET_SYSCALL_INFO 0x420e
#endif
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

enum kind { OPENS, PATHS, HANDLES };

static const struct {
  long nr;
  enum kind kind;
} CALLS[] = {
#ifdef __NR_open
    {__NR_open, OPENS},       {__NR_creat, PATHS},    {__NR_rename, PATHS},
    {__NR_link, PATHS},       {__NR_unlink, PATHS},   {__NR_symlink, PATHS},
    {__NR_mkdir, PATHS},      {__NR_rmdir, PATHS},    {__NR_chmod, PATHS},
#endif
    {__NR_openat, OPENS},     {__NR_openat2, PATHS},  {__NR_renameat, PATHS},
    {__NR_renameat2, PATHS},  {__NR_linkat, PATHS},   {__NR_unlinkat, PATHS},
    {__NR_symlinkat, PATHS},  {__NR_mkdirat, PATHS},  {__NR_truncate, PATHS},
    {__NR_fchmodat, PATHS},   {__NR_bind, PATHS},     {__NR_write, HANDLES},
    {__NR_writev, HANDLES},   {__NR_pwrite64, HANDLES}, {__NR_pwritev, HANDLES},
    {__NR_pwritev2, HANDLES}, {__NR_ftruncate, HANDLES}, {__NR_fallocate, HANDLES},
    {__NR_fsync, HANDLES},    {__NR_fdatasync, HANDLES}, {__NR_fchmod, HANDLES},
};
enum { MANY = sizeof CALLS / sizeof *CALLS };

static atomic_long count, target;
static atomic_bool at_exit, killed;
static pid_t program;
static const char *folder;

static void give_up(const char *what) {
  printf("refused %s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(3);
}

static void kill_it(void) {
  if (!atomic_exchange(&killed, 1)) kill(program, SIGKILL);
}

static void *listen_to_commands(void *unused) {
  (void)unused;
  char line[128], when[16];
  long number;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "arm %ld %15s", &number, when) == 2) {
      atomic_store(&target, 0);
      atomic_store(&count, 0);
      atomic_store(&at_exit, !strcmp(when, "exit"));
      atomic_store(&target, number);
      printf("armed\n");
    } else if (!strcmp(line, "count\n")) {
      printf("count %ld\n", atomic_load(&count));
    } else if (!strcmp(line, "kill\n")) {
      kill_it();
    }
    fflush(stdout);
  }
  kill_it();
  return NULL;
}

static void start(char **command, const char *out, const char *err, int go) {
  char byte;
  if (read(go, &byte, 1) != 1) _exit(125);
  int input = open("/dev/null", O_RDONLY);
  int output = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  int errors = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) _exit(125);
  closefrom(3);
  struct sock_filter filter[2 + MANY * 2 + 1];
  int at = 0;
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < MANY; i++) {
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)CALLS[i].nr, 0, 1);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  }
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog rules = {.len = (unsigned short)at, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &rules)) _exit(124);
  execv(command[0], command);
  _exit(126);
}

/* Whether a thread is of the program itself, and not of a child. */
static int is_its(pid_t thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d", program, thread);
  return access(path, F_OK) == 0;
}

/* Whether what it is about lies in the folder; so it is taken where nobody may look. */
static int is_inside(pid_t thread, unsigned long long handle) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/%d/fd/%d", thread, (int)handle);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return errno != ENOENT;
  path[length] = 0;
  return !strncmp(path, folder, strlen(folder));
}

static int changes(pid_t thread) {
  struct call_info info;
  memset(&info, 0, sizeof info);
  if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) < 0) return 0;
  for (int i = 0; i < MANY; i++) {
    if ((unsigned long long)CALLS[i].nr != info.nr) continue;
    switch (CALLS[i].kind) {
    case PATHS:
      return 1;
    case HANDLES:
      return is_inside(thread, info.args[0]);
    case OPENS: {
      int is_at = CALLS[i].nr == __NR_openat;
      return (info.args[is_at ? 2 : 1] & (O_CREAT | O_TRUNC)) != 0;
    }
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  int from = 4;
  if (argc > 6 && strcmp(argv[4], "--")) {
    atomic_store(&target, atol(argv[4]));
    atomic_store(&at_exit, !strcmp(argv[5], "exit"));
    from = 6;
  }
  if (argc < from + 2 || strcmp(argv[from], "--")) return 2;
  folder = argv[1];
  int go[2];
  if (pipe2(go, O_CLOEXEC)) give_up("a pipe");
  program = fork();
  if (program < 0) give_up("a process");
  if (program == 0) start(argv + from + 1, argv[2], argv[3], go[0]);
  long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                 PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SEIZE, program, 0, options) < 0) {
    int why = errno;
    kill(program, SIGKILL);
    errno = why;
    give_up("ptrace, which needs CAP_SYS_PTRACE or kernel.yama.ptrace_scope at most 1");
  }
  if (write(go[1], "", 1) != 1) give_up("a byte");
  printf("started %d\n", program);
  fflush(stdout);
  pthread_t listener;
  if (pthread_create(&listener, NULL, listen_to_commands, NULL)) give_up("a thread");
  pid_t leaving = 0;
  for (;;) {
    int status;
    pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0 && errno == EINTR) continue;
    if (thread < 0) break;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (thread != program) continue;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 124) {
        errno = EPERM;
        give_up("seccomp filters");
      }
      break;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    int request = PTRACE_CONT;
    if (event == PTRACE_EVENT_SECCOMP) {
      if (is_its(thread) && changes(thread)) {
        long number = atomic_fetch_add(&count, 1) + 1;
        if (number == atomic_load(&target)) {
          if (atomic_load(&at_exit)) {
            leaving = thread;
            request = PTRACE_SYSCALL;
          } else {
            kill_it();
          }
        }
      }
      signal = 0;
    } else if (event == PTRACE_EVENT_STOP) {
      if (signal != SIGTRAP) request = PTRACE_LISTEN;
      signal = 0;
    } else if (event) {
      signal = 0;
    } else if (signal == (SIGTRAP | 0x80)) {
      if (thread == leaving) kill_it();
      signal = 0;
    }
    ptrace(request, thread, 0, signal);
  }
  printf("%s %ld\n", atomic_load(&killed) ? "killed" : "ended", atomic_load(&count));
  fflush(stdout);
  return 0;
}

/* Moves the wall clock of one process, as `date` moves that of a machine; loaded with LD_PRELOAD.

   CLOCK_STEP_FILE holds, as a native int64, by how many nanoseconds the wall clock is ahead; whoever writes it steps the
   clock of every process that has the file open, at once. The monotonic clock is left alone, as the kernel leaves it.

   Not libfaketime: that moves the monotonic clock as well unless told not to, and looks for a new offset only now and
   then. As in the kernel, who waits for an absolute wall time is woken early by a step forwards and late by one backwards:
   such waits are cut into slices on the monotonic clock, and the wall clock is looked at between them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define SLICE (SECOND / 100)
#define COND_IS_MONOTONIC 2 /* a bit of glibc's __wrefs */

static const volatile int64_t *step;

__attribute__((constructor)) static void open_step(void) {
  const char *path = getenv("CLOCK_STEP_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) step = mapped;
  close(file);
}

static int64_t ahead(void) { return step ? *step : 0; }

static int real_clock(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  return real(clock, time);
}

static int64_t nanoseconds(const struct timespec *time) { return time->tv_sec * SECOND + time->tv_nsec; }

static struct timespec of_nanoseconds(int64_t count) {
  return (struct timespec){.tv_sec = count / SECOND, .tv_nsec = count % SECOND};
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = real_clock(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    *time = of_nanoseconds(nanoseconds(time) + ahead());
  return result;
}

int gettimeofday(struct timeval *time, void *zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
  if (base != TIME_UTC) return 0;
  clock_gettime(CLOCK_REALTIME, time);
  return base;
}

/* Says whether `until`, in wall time, has come; else `slice` is the monotonic instant to wait for. */
static int has_come(const struct timespec *until, struct timespec *slice) {
  struct timespec wall, now;
  clock_gettime(CLOCK_REALTIME, &wall);
  real_clock(CLOCK_MONOTONIC, &now);
  int64_t left = nanoseconds(until) - nanoseconds(&wall);
  *slice = of_nanoseconds(nanoseconds(&now) + (left < 0 ? 0 : left < SLICE ? left : SLICE));
  return left <= 0;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
  struct timespec slice;
  if (cond->__data.__wrefs & COND_IS_MONOTONIC) return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, until);
  for (;;) {
    int last = has_come(until, &slice);
    int result = pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &slice);
    if (result != ETIMEDOUT || last) return result;
  }
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until) {
  struct timespec slice;
  for (;;) {
    int last = has_come(until, &slice);
    int result = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &slice);
    if (result != ETIMEDOUT || last) return result;
  }
}

/* librdkafka's; glibc's own does not come by the function above. */
int cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *until) {
  int result = pthread_cond_timedwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, until);
  return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}

int mtx_timedlock(mtx_t *mutex, const struct timespec *until) {
  int result = pthread_mutex_timedlock((pthread_mutex_t *)mutex, until);
  return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
  struct timespec slice;
  for (;;) {
    int last = has_come(until, &slice);
    int result = sem_clockwait(semaphore, CLOCK_MONOTONIC, &slice);
    if (result == 0 || errno != ETIMEDOUT || last) return result;
  }
}

/* gRPC's locks wait in the kernel themselves, some of them for a wall time. */
long syscall(long number, ...) {
  static long (*real)(long, ...);
  if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list given;
  va_start(given, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(given, long);
  va_end(given);
  const struct timespec *until = (const struct timespec *)a[3];
  if (number != SYS_futex || !(a[1] & FUTEX_CLOCK_REALTIME) || !until)
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  struct timespec slice;
  for (;;) {
    int last = has_come(until, &slice);
    long result = real(number, a[0], a[1] & ~(long)FUTEX_CLOCK_REALTIME, a[2], &slice, a[4], a[5]);
    if (result == 0 || errno != ETIMEDOUT || last) return result;
  }
}

/* Everything that can be refused is refused, one thing after the other: each allocation, each call of a port. A
   scenario is run once whole, and then again and again, each time with the n-th refused, in a process of its own. */
#ifndef TIDEMARK_TORTURE_H
#define TIDEMARK_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- allocations (allocations.c, news.cc) --- */

/* Allocations of this thread count, and may be refused, from here on; or no longer. */
void torture_arm(bool armed);
/* The same for all threads. */
void torture_arm_all(bool armed);
bool torture_armed(void); /* this thread is */
/* What this library, or another for it, asks for does not count and is not refused; NULL: nothing is spared. */
void torture_spare(const char *library);
/* The n-th of them is refused (0: none); with `all_after`, all from it on. */
void torture_refuse(uint64_t n, bool all_after, bool show);
uint64_t torture_counted(void); /* allocations of armed threads so far */
uint64_t torture_refused(void);
bool torture_refusing(void); /* … and whatever else armed threads ask for is refused too */
/* Where the address goes from which the first refused allocation was asked for: *where is of memory that is shared. */
void torture_tell_caller(const void **where);
int64_t torture_live(void); /* blocks that are not freed, of all threads */

/* --- calls of ports (ports.c) --- */

struct actor;
/* Puts counters before the ports of a worker that has not begun. The n-th call of all of them (0: none) fails in the
   way `way` says; *calls counts. */
void torture_ports(struct actor *actor);
void torture_refuse_call(uint64_t n, uint32_t way, uint32_t times);
uint64_t torture_calls(void);
const char *torture_call_refused(void); /* which, and how; NULL: that call has no such way, or it never came */

/* --- calls of the system over sockets, of armed threads (system.c) --- */

/* The n-th of them (0: none) and those after it, `times` in all, fail in the way `way` says. */
void torture_refuse_system(uint64_t n, uint32_t way, uint32_t times);
uint64_t torture_system_calls(void);
const char *torture_system_refused(void); /* which, and how; NULL: it never came, or there is no such way */

/* --- scenarios --- */

enum {
    TORTURE_PORTS = 1,  /* calls of ports are refused, not allocations */
    TORTURE_SYSTEM = 2, /* calls of the system are */
    TORTURE_SLOW = 4,   /* seconds a run: only where it is named, or with --slow */
    TORTURE_RECOVER = 8 /* judged by how it goes on after a refusal: not with --rest */
};

typedef struct torture_scenario {
    const char *name, *what;
    unsigned kind; /* of these */
    void (*prepare)(void);
    /* Arms, runs, disarms, judges. NULL: as it should be; else what is wrong. With nothing refused it has to succeed,
       and keeps what it found as what is expected. */
    const char *(*run)(void);
} torture_scenario;

extern const torture_scenario torture_library[], torture_commands[], torture_workers[], torture_adapters[],
    torture_kafka[];
extern const uint32_t torture_library_count, torture_commands_count, torture_workers_count, torture_adapters_count,
    torture_kafka_count;

/* A text that lives until the process ends, for what run() returns. */
const char *torture_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The folder for files of this run. */
const char *torture_folder(void);

#endif

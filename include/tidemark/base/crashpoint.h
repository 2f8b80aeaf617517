/* Named places at which the crash tests end or stop the process; nothing at all unless the build asks for them.

   TM_CRASH_POINT("name") marks a place between two steps whose order matters to exactly-once: what was done before it
   is done, what comes after it is not. In a build with TIDEMARK_CRASH_POINTS (preset `crash`) the environment decides
   what happens there:

     TIDEMARK_CRASH=name[:k]    SIGKILL to the process itself at the k-th passing (default 1)
     TIDEMARK_STOP=name[:k]     SIGSTOP instead; whoever asked for it sends SIGCONT
     TIDEMARK_CRASH_LIST=file   keeps a line 'name count' for each point passed, also of a process that is killed

   In every other build, what is shipped above all, the macro is an empty expression and its names are in no file.
   Names are unique; docs/crash-campaign.md lists them all, and a lint test holds both. */
#ifndef TIDEMARK_BASE_CRASHPOINT_H
#define TIDEMARK_BASE_CRASHPOINT_H

#ifdef TIDEMARK_CRASH_POINTS
/* Counts a passing of `name` (a literal: it is kept by address) and dies or stops when this is the one asked for. */
void tm_crash_pass(const char *name);
#define TM_CRASH_POINT(name) tm_crash_pass(name)
#else
#define TM_CRASH_POINT(name) ((void)0)
#endif

#endif

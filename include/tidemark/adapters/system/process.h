/* What others may see of this process. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_PROCESS_H
#define TIDEMARK_ADAPTERS_SYSTEM_PROCESS_H

#include <stdbool.h>

#include "tidemark/base/status.h"

/* Keeps memory, which holds secrets and the records being read, from being written to disk or read by others of the
   same user: no core dump, by size limit and by the process' own word (which a core_pattern with a program heeds too),
   and no debugger but root's. Programs started from here are not bound by the second. Call it before anything secret is
   read. Nothing is done in a build with sanitizers, which look into the process themselves. */
void tm_process_protect(void);

/* Whether whoever is neither the owner nor in the group may read the file: then it is no secret. False too where it
   cannot be looked at. */
bool tm_file_is_public(const char *path);

#endif

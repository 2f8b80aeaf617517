#include "tidemark/adapters/system/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t count_entries(const char *folder)
{
    DIR *entries = opendir(folder);
    int64_t count = 0;
    if (!entries)
        return -1;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count;
}

static void look_at_memory(tm_usage *usage)
{
    char text[256];
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return;
    if (fgets(text, sizeof text, file)) { /* pages: all, resident, … */
        char *end;
        long long all = strtoll(text, &end, 10);
        long long resident = strtoll(end, &end, 10);
        long page = sysconf(_SC_PAGESIZE);
        usage->virtual_bytes = all * page;
        usage->resident_bytes = resident * page;
    }
    fclose(file);
}

void tm_usage_look(tm_usage *ret_usage)
{
    *ret_usage = (tm_usage){-1, -1, -1, -1, -1, -1};
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) == 0)
        ret_usage->cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ret_usage->most_descriptors = limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
    look_at_memory(ret_usage);
    ret_usage->open_descriptors = count_entries("/proc/self/fd");
    if (ret_usage->open_descriptors > 0)
        ret_usage->open_descriptors--; /* the one it was counted with */
    ret_usage->threads = count_entries("/proc/self/task");
}

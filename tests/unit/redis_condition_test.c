#include "tidemark/adapters/redis/condition.h"

#include <criterion/criterion.h>
#include <string.h>

/* As Redis 7.0 writes them. */
Test(redis_condition, what_servers_say)
{
    static const struct {
        const char *answer, *word, *text;
        tm_status status, greeting;
        bool leave;
    } cases[] = {
        {"LOADING Redis is loading the dataset in memory", "LOADING", NULL, TM_RETRY, TM_RETRY, true},
        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "BUSY", NULL,
         TM_RETRY, TM_RETRY, false},
        {"READONLY You can't write against a read only replica.", "READONLY", NULL, TM_RETRY, TM_RETRY, true},
        {"EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
         "READONLY", NULL, TM_RETRY, TM_RETRY, true},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN", NULL,
         TM_RETRY, TM_RETRY, true},
        {"NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", NULL, TM_RETRY, TM_RETRY, false},
        {"OOM command not allowed when used memory > 'maxmemory'.", "OOM", NULL, TM_RETRY, TM_RETRY, false},
        {"EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.", "OOM",
         NULL, TM_RETRY, TM_RETRY, false},
        {"MISCONF Errors writing to the AOF file: No space left on device", "MISCONF", "AOF", TM_RETRY, TM_RETRY,
         false},
        {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "MISCONF",
         NULL, TM_RETRY, TM_RETRY, false},
        {"ERR max number of clients reached", "ERR", "max number of clients", TM_RETRY, TM_RETRY, true},
        {"NOAUTH Authentication required.", "NOAUTH", NULL, TM_RETRY, TM_REJECT, true},
        {"WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS", NULL, TM_RETRY, TM_REJECT, true},
        {"NOPERM this user has no permissions to run the 'xtrim' command", "NOPERM", NULL, TM_RETRY, TM_REJECT, false},
        {"DENIED Redis is running in protected mode because protected mode is enabled", "DENIED", NULL, TM_RETRY,
         TM_REJECT, true},
        {"ERR DB index is out of range", "ERR", "DB index", TM_RETRY, TM_REJECT, true},
        {"ERR unknown command 'XTRIM', with args beginning with: ", "ERR", "unknown command", TM_RETRY, TM_REJECT,
         false},
        {"MOVED 3999 127.0.0.1:6381", "MOVED", NULL, TM_RETRY, TM_RETRY, false},
        {"ASK 3999 127.0.0.1:6381", "ASK", NULL, TM_RETRY, TM_RETRY, false},
        {"TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN", NULL, TM_RETRY, TM_RETRY, false},
        {"CLUSTERDOWN Hash slot not served", "CLUSTERDOWN", NULL, TM_RETRY, TM_RETRY, true},
        {"ERR This instance has cluster support disabled", "ERR", "cluster support disabled", TM_RETRY, TM_REJECT,
         true},
        {"CROSSSLOT Keys in request don't hash to the same slot", "CROSSSLOT", NULL, TM_FATAL, TM_RETRY, false},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE", NULL, TM_FATAL, TM_RETRY,
         false},
        /* what is not known is waited for, and a word that only begins alike is another */
        {"BUSYKEY Target key name already exists.", "", NULL, TM_RETRY, TM_REJECT, false},
        {"BUSYGROUP Consumer Group name already exists", "", NULL, TM_RETRY, TM_REJECT, false},
        {"EXECABORT Transaction discarded because of previous errors.", "", NULL, TM_RETRY, TM_REJECT, false},
        {"ERR", "", NULL, TM_RETRY, TM_REJECT, false},
        {"", "", NULL, TM_RETRY, TM_REJECT, false},
        {"MOVE", "", NULL, TM_RETRY, TM_REJECT, false},
        {"BUSY", "BUSY", NULL, TM_RETRY, TM_RETRY, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const tm_redis_condition *found = tm_redis_condition_of(tm_slice_of(cases[i].answer));
        cr_assert_str_eq(found->word, cases[i].word, "%s", cases[i].answer);
        cr_assert_eq(found->status, cases[i].status, "%s", cases[i].answer);
        cr_assert_eq(found->greeting, cases[i].greeting, "%s", cases[i].answer);
        cr_assert_eq(found->leave, cases[i].leave, "%s", cases[i].answer);
        cr_assert_eq(found->text == NULL, cases[i].text == NULL, "%s", cases[i].answer);
        cr_assert(found->text == NULL || strcmp(found->text, cases[i].text) == 0, "%s", cases[i].answer);
    }
}

Test(redis_condition, whatever_lasts_says_what_to_do)
{
    uint32_t count = 0;
    for (const tm_redis_condition *c; (c = tm_redis_condition_at(count)) != NULL; count++) {
        bool passes = strcmp(c->word, "LOADING") == 0 || strcmp(c->word, "INPROG") == 0;
        cr_assert(passes || (c->hint != NULL && c->hint[0] != '\0'), "%s", c->word);
        cr_assert(c->hint == NULL || strlen(c->hint) < sizeof((tm_error){0}.hint), "%s is cut", c->word);
        cr_assert(c->status == TM_RETRY || c->status == TM_FATAL, "%s", c->word);
        cr_assert(c->greeting == TM_RETRY || c->greeting == TM_REJECT, "%s", c->word);
    }
    cr_assert_gt(count, 20);
}

/* Nearly everything is waited out: the worker keeps what it has, stays in its group, says what Redis said and what to
   do, and goes on by itself once it is mended. What ends a shard is only what shows that its keys are not its own. */
#include "tidemark/adapters/redis/condition.h"

#include <string.h>

static const tm_redis_condition conditions[] = {
    /* it passes by itself */
    {"LOADING", NULL, TM_RETRY, TM_RETRY, true, NULL},
    {"BUSY", NULL, TM_RETRY, TM_RETRY, false,
     "a script or function holds Redis up: SCRIPT KILL or FUNCTION KILL ends one that has written nothing"},
    {"TRYAGAIN", NULL, TM_RETRY, TM_RETRY, false,
     "the shard's keys are being moved to another node of the cluster: it goes on when all of them are there; should "
     "the "
     "move have been broken off, redis-cli --cluster fix ends it"},
    {"ASK", NULL, TM_RETRY, TM_RETRY, false,
     "the shard's keys are being moved to another node of the cluster: it goes on when all of them are there; should "
     "the "
     "move have been broken off, redis-cli --cluster fix ends it"},
    {"MOVED", NULL, TM_RETRY, TM_RETRY, false, "the slot has just been moved to another node of the cluster"},
    {"CLUSTERDOWN", NULL, TM_RETRY, TM_RETRY, true,
     "nodes of the cluster are missing, or slots belong to nobody: redis-cli --cluster check names them"},
    {"INPROG", NULL, TM_RETRY, TM_RETRY, true, NULL},

    /* the server is another than it was, or was told to be */
    {"READONLY", NULL, TM_RETRY, TM_RETRY, true,
     "this server is a replica: point redis.url at the primary, or at the sentinels that know it"},
    {"MASTERDOWN", NULL, TM_RETRY, TM_RETRY, true,
     "this server is a replica without its primary: point redis.url at the primary"},
    {"NOREPLICAS", NULL, TM_RETRY, TM_RETRY, false,
     "fewer replicas follow than min-replicas-to-write asks for: bring them back, or ask for fewer"},

    /* something has run out */
    {"OOM", NULL, TM_RETRY, TM_RETRY, false, "Redis is at maxmemory: raise it"},
    {"MISCONF", "AOF", TM_RETRY, TM_RETRY, false,
     "Redis cannot write its append-only file: make room on its disk, or find in its log what is wrong with it"},
    {"MISCONF", NULL, TM_RETRY, TM_RETRY, false,
     "Redis cannot save its snapshot: make room on its disk, or find in its log what is wrong with it"},
    {"ERR", "max number of clients", TM_RETRY, TM_RETRY, true, "raise maxclients of Redis"},

    /* who we are, and what we may do */
    {"NOAUTH", NULL, TM_RETRY, TM_REJECT, true, "Redis wants a password: give redis.url a user and password"},
    {"WRONGPASS", NULL, TM_RETRY, TM_REJECT, true,
     "the user or password of redis.url is not right (any more): set it right here or there"},
    {"ERR", "without any password configured", TM_RETRY, TM_REJECT, true,
     "redis.url has a password, and this server has none"},
    {"ERR", "invalid password", TM_RETRY, TM_REJECT, true, "the password of redis.url is not right"},
    {"NOPERM", NULL, TM_RETRY, TM_REJECT, false,
     "`tidemark check --permissions` prints what the Redis user has to be allowed"},
    {"DENIED", NULL, TM_RETRY, TM_REJECT, true,
     "Redis is in protected mode: let it listen on this address and give it a password"},
    {"ERR", "DB index", TM_RETRY, TM_REJECT, true, "the database of redis.url is not there: a cluster has 0 alone"},
    {"ERR", "SELECT is not allowed in cluster mode", TM_RETRY, TM_REJECT, true, "a cluster has the database 0 alone"},
    {"ERR", "unknown command", TM_RETRY, TM_REJECT, false,
     "this server does not have the command: Redis 6.2 or newer is needed, without renamed commands"},

    {"ERR", "cluster support disabled", TM_RETRY, TM_REJECT, true,
     "redis.url says redis+cluster://, and this server belongs to none: write redis://"},

    /* not of our making */
    {"CROSSSLOT", NULL, TM_FATAL, TM_RETRY, false,
     "something between here and Redis divides keys by another rule than Redis Cluster: it has to keep {…} together"},
    {"WRONGTYPE", NULL, TM_FATAL, TM_RETRY, false,
     "another program writes keys of this prefix: give tidemark a redis.prefix of its own"},
};
enum { CONDITIONS = sizeof(conditions) / sizeof(conditions[0]) };

static const tm_redis_condition unknown = {"", NULL, TM_RETRY, TM_REJECT, false, NULL};

const tm_redis_condition *tm_redis_condition_of(tm_slice answer)
{
    static const char discarded[] = "EXECABORT Transaction discarded because of: ";
    if (tm_slice_has_prefix(answer, TM_SLICE_LITERAL(discarded))) {
        answer.data += sizeof(discarded) - 1;
        answer.length -= sizeof(discarded) - 1;
    }
    for (size_t i = 0; i < CONDITIONS; i++) {
        size_t length = strlen(conditions[i].word);
        const char *text = conditions[i].text;
        if (answer.length >= length && memcmp(answer.data, conditions[i].word, length) == 0 &&
            (answer.length == length || answer.data[length] == ' ') &&
            (text == NULL || memmem(answer.data, answer.length, text, strlen(text)) != NULL)) {
            return &conditions[i];
        }
    }
    return &unknown;
}

const tm_redis_condition *tm_redis_condition_at(uint32_t index)
{
    return index < CONDITIONS ? &conditions[index] : NULL;
}

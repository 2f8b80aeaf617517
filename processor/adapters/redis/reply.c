#include <hiredis/hiredis.h>

#include "tidemark/adapters/redis/connection.h"

/* A tm_redis_reply is a redisReply under another name. */
static const redisReply *inside(const tm_redis_reply *reply)
{
    return (const redisReply *)(const void *)reply;
}

void tm_redis_reply_free(tm_redis_reply *reply)
{
    freeReplyObject(reply);
}

tm_redis_type tm_redis_reply_type(const tm_redis_reply *reply)
{
    if (!reply)
        return TM_REDIS_NIL;
    switch (inside(reply)->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return TM_REDIS_TEXT;
    case REDIS_REPLY_INTEGER:
        return TM_REDIS_INTEGER;
    case REDIS_REPLY_ARRAY:
        return TM_REDIS_ARRAY;
    case REDIS_REPLY_ERROR:
        return TM_REDIS_ERROR;
    default:
        return TM_REDIS_NIL;
    }
}

tm_slice tm_redis_reply_text(const tm_redis_reply *reply)
{
    tm_redis_type type = tm_redis_reply_type(reply);
    if (type != TM_REDIS_TEXT && type != TM_REDIS_ERROR) {
        return (tm_slice){NULL, 0};
    }
    return (tm_slice){inside(reply)->str, inside(reply)->len};
}

int64_t tm_redis_reply_integer(const tm_redis_reply *reply)
{
    return tm_redis_reply_type(reply) == TM_REDIS_INTEGER ? inside(reply)->integer : 0;
}

uint32_t tm_redis_reply_count(const tm_redis_reply *reply)
{
    return tm_redis_reply_type(reply) == TM_REDIS_ARRAY ? (uint32_t)inside(reply)->elements : 0;
}

const tm_redis_reply *tm_redis_reply_at(const tm_redis_reply *reply, uint32_t index)
{
    if (index >= tm_redis_reply_count(reply)) {
        return NULL;
    }
    return (const tm_redis_reply *)(const void *)inside(reply)->element[index];
}

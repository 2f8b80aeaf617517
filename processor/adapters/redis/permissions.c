/* What the store may be limited to. A test runs the store's whole contract as a user with exactly these and then finds
   nothing in ACL LOG; a command that is used and not named here fails there. */
#include <string.h>

#include "tidemark/adapters/redis/store.h"

const char *tm_redis_permission_at(uint32_t index)
{
    static const char *const permissions[] = {
        /* the connection */
        "+ping",
        "+select",
        /* the checks at start */
        "+info",
        "+role",
        "+config|get",
        /* where the slots of a cluster are, and whether their keys are; harmless elsewhere */
        "+cluster|slots",
        "+cluster|nodes",
        "+cluster|countkeysinslot",
        "+exists",
        /* a commit: checked, then written at once */
        "+watch",
        "+multi",
        "+exec",
        "+discard",
        "+hset",
        "+hdel",
        "+xadd",
        "+xtrim",
        /* taking over, looking at, removing */
        "+hmget",
        "+hget",
        "+hgetall",
        "+hincrby",
        "+xrange",
        "+get",
        "+set",
        "+unlink",
    };
    return index < sizeof(permissions) / sizeof(permissions[0]) ? permissions[index] : NULL;
}

void tm_redis_permissions(const char *prefix, tm_buffer *out)
{
    tm_buffer_append_format(out, "resetkeys ~%s:* resetchannels -@all", prefix != NULL ? prefix : "tm");
    const char *permission;
    for (uint32_t i = 0; (permission = tm_redis_permission_at(i)) != NULL; i++) {
        tm_buffer_append_format(out, " %s", permission);
    }
}

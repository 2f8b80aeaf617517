#include "tidemark/core/value.h"

bool tm_value_same(tm_value a, tm_value b)
{
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case TM_TYPE_NUMBER:
    case TM_TYPE_DURATION:
        return a.as.number == b.as.number;
    case TM_TYPE_STRING:
        return tm_slice_equal(a.as.string, b.as.string);
    case TM_TYPE_BOOLEAN:
        return a.as.boolean == b.as.boolean;
    default:
        return true;
    }
}

const char *tm_type_name(tm_type type)
{
    switch (type) {
    case TM_TYPE_NULL:
        return "null";
    case TM_TYPE_NUMBER:
        return "number";
    case TM_TYPE_DURATION:
        return "duration";
    case TM_TYPE_STRING:
        return "string";
    case TM_TYPE_BOOLEAN:
        return "boolean";
    case TM_TYPE_ANY:
        break;
    }
    return "any";
}

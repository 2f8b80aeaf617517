#include "tidemark/codec/deadreason.h"

static const char *const names[TM_DEAD_REASONS] = {
    [TM_DEAD_NONE] = "none",
    [TM_DEAD_NO_VALUE] = "no_value",
    [TM_DEAD_UNSUPPORTED_ENCODING] = "unsupported_encoding",
    [TM_DEAD_TOO_LARGE] = "too_large",
    [TM_DEAD_INVALID_UTF8] = "invalid_utf8",
    [TM_DEAD_TOO_DEEP] = "too_deep",
    [TM_DEAD_INVALID_JSON] = "invalid_json",
    [TM_DEAD_TRAILING_BYTES] = "trailing_bytes",
    [TM_DEAD_NUMBER_OUT_OF_RANGE] = "number_out_of_range",
    [TM_DEAD_DUPLICATE_KEY] = "duplicate_key",
    [TM_DEAD_MISSING_FIELD] = "missing_field",
    [TM_DEAD_WRONG_TYPE] = "wrong_type",
    [TM_DEAD_STRING_TOO_LONG] = "string_too_long",
    [TM_DEAD_STRING_EMPTY] = "string_empty",
    [TM_DEAD_INVALID_TIME] = "invalid_time",
    [TM_DEAD_NO_KEY] = "no_key",
    [TM_DEAD_KEY_MISMATCH] = "key_mismatch",
    [TM_DEAD_ACCOUNT_MISMATCH] = "account_mismatch",
    [TM_DEAD_FUTURE] = "future",
    [TM_DEAD_INTERNAL_CHECK] = "internal_check",
};

const char *tm_dead_reason_name(tm_dead_reason reason)
{
    return (unsigned)reason < TM_DEAD_REASONS ? names[reason] : names[TM_DEAD_NONE];
}

bool tm_dead_reason_find(tm_slice name, tm_dead_reason *ret_reason)
{
    for (int i = TM_DEAD_NONE + 1; i < TM_DEAD_REASONS; i++)
        if (tm_slice_equal_text(name, names[i])) {
            *ret_reason = (tm_dead_reason)i;
            return true;
        }
    return false;
}

/* Any texts as a custom mapping: refused at a line of it, or a mapping under which both event readers agree about the
   rest of the input. Lines are 'target=path=constant' or 'target=path', up to an empty one; then comes a record. */
#include <stdlib.h>

#include "support/eventreaders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAIRS = TM_MAPPING_PAIRS_MAX + 2 };

static tm_slice cut(tm_slice *rest, char at, bool *ret_found)
{
    const char *end = rest->length ? memchr(rest->data, at, rest->length) : NULL;
    tm_slice piece = {rest->data, end ? (size_t)(end - rest->data) : rest->length};
    *ret_found = end != NULL;
    size_t used = piece.length + (end != NULL);
    *rest = (tm_slice){rest->data + used, rest->length - used};
    return piece;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tm_header items[] = {{TM_SLICE_LITERAL("id"), TM_SLICE_LITERAL("h-1")},
                                      {TM_SLICE_LITERAL("a"), TM_SLICE_LITERAL("acme")}};
    static const tm_headers headers = {items, 2};
    tm_slice rest = {(const char *)data, size};
    tm_mapping_pair pairs[PAIRS];
    size_t count = 0;
    while (rest.length > 0 && count < PAIRS) {
        bool found, more;
        tm_slice line = cut(&rest, '\n', &found);
        if (line.length == 0)
            break;
        tm_mapping_pair *pair = &pairs[count++];
        *pair = (tm_mapping_pair){0};
        pair->target = cut(&line, '=', &more);
        if (more)
            pair->path = cut(&line, '=', &more);
        if (more)
            pair->constant = line;
        if (pair->path.length == 0)
            pair->path = (tm_slice){0};
    }
    tm_mapping *mapping = NULL;
    size_t at = SIZE_MAX;
    tm_error error;
    tm_status status = tm_mapping_custom(pairs, count, &mapping, &at, &error);
    if (status != TM_OK) {
        if (status != TM_REJECT || at > count || mapping)
            abort();
        return 0;
    }
    reader_pair readers;
    tm_dead_reason reason;
    reader_pair_init(&readers, mapping, TM_KEY_IGNORE);
    const char *difference =
        readers_differ(&readers, rest, mapping->needs_headers ? &headers : NULL, tm_slice_of("acme"), &status, &reason);
    if (difference) {
        fprintf(stderr, "%s\n", difference);
        abort();
    }
    if (status == TM_FATAL || (status == TM_REJECT) != (reason != TM_DEAD_NONE))
        abort();
    reader_pair_done(&readers);
    return 0;
}

#include "tidemark/pipeline/outbox.h"

#include <stdlib.h>
#include <string.h>

/* Header names are a closed list, so that an entry carries a number and a read output points at static text. */
static const char *const header_names[] = {"tidemark-kind", "tidemark-rule", "tidemark-state", "tidemark-severity",
                                           "content-type"};
enum { HEADER_NAMES = sizeof header_names / sizeof *header_names, HEADERS_MAX = 8 };

void tm_outbox_init(tm_outbox *outbox, size_t maximum)
{
    *outbox = (tm_outbox){0};
    tm_buffer_init(&outbox->bytes, maximum);
}

void tm_outbox_done(tm_outbox *outbox)
{
    tm_buffer_done(&outbox->bytes);
    free(outbox->entries);
    *outbox = (tm_outbox){0};
}

static tm_status append_entry(tm_outbox *outbox, int64_t commit, size_t offset)
{
    if (outbox->bytes.overflowed)
        return TM_FATAL;
    if (outbox->count == outbox->capacity) {
        uint32_t capacity = outbox->capacity ? outbox->capacity * 2 : 64;
        tm_outbox_entry *entries = realloc(outbox->entries, sizeof *entries * capacity);
        if (!entries)
            return TM_FATAL;
        outbox->entries = entries;
        outbox->capacity = capacity;
    }
    outbox->entries[outbox->count++] = (tm_outbox_entry){commit, offset, outbox->bytes.length - offset};
    return TM_OK;
}

tm_status tm_outbox_add(tm_outbox *outbox, int64_t commit, const tm_output *output)
{
    tm_buffer *out = &outbox->bytes;
    size_t offset = out->length;
    tm_buffer_put_u8(out, (uint8_t)output->topic);
    tm_buffer_put_signed(out, output->partition);
    tm_buffer_put_signed(out, output->timestamp);
    tm_buffer_put_slice(out, output->key);
    tm_buffer_put_slice(out, output->value);
    tm_buffer_put_u8(out, (uint8_t)output->header_count);
    for (uint32_t i = 0; i < output->header_count; i++) {
        uint8_t name = 0;
        while (name < HEADER_NAMES && strcmp(header_names[name], output->headers[i].name) != 0)
            name++;
        tm_buffer_put_u8(out, name);
        tm_buffer_put_slice(out, output->headers[i].value);
    }
    return append_entry(outbox, commit, offset);
}

tm_status tm_outbox_add_bytes(tm_outbox *outbox, int64_t commit, tm_slice bytes)
{
    size_t offset = outbox->bytes.length;
    tm_buffer_append_slice(&outbox->bytes, bytes);
    return append_entry(outbox, commit, offset);
}

tm_slice tm_outbox_bytes(const tm_outbox *outbox, uint32_t index)
{
    const tm_outbox_entry *entry = &outbox->entries[index];
    /* What a store gives may be empty, and then there may be no buffer yet. */
    return entry->length > 0 ? (tm_slice){outbox->bytes.data + entry->offset, entry->length} : TM_SLICE_LITERAL("");
}

tm_status tm_outbox_read(const tm_outbox *outbox, uint32_t index, tm_output *ret_output)
{
    tm_slice bytes = tm_outbox_bytes(outbox, index);
    tm_reader in;
    tm_reader_init(&in, bytes);
    *ret_output = (tm_output){0};
    uint8_t topic = tm_reader_u8(&in);
    int64_t partition = tm_reader_signed(&in);
    ret_output->timestamp = tm_reader_signed(&in);
    ret_output->key = tm_reader_slice(&in, bytes.length);
    ret_output->value = tm_reader_slice(&in, bytes.length);
    uint8_t headers = tm_reader_u8(&in);
    if (in.failed || topic >= TM_TOPICS || partition < -1 || partition > INT32_MAX || headers > HEADERS_MAX)
        return TM_REJECT;
    ret_output->topic = (tm_topic)topic;
    ret_output->partition = (int32_t)partition;
    ret_output->header_count = headers;
    for (uint8_t i = 0; i < headers; i++) {
        uint8_t name = tm_reader_u8(&in);
        ret_output->headers[i].value = tm_reader_slice(&in, bytes.length);
        if (in.failed || name >= HEADER_NAMES)
            return TM_REJECT;
        ret_output->headers[i].name = header_names[name];
    }
    return tm_reader_at_end(&in) ? TM_OK : TM_REJECT;
}

void tm_outbox_forget(tm_outbox *outbox, int64_t commit)
{
    uint32_t keep = 0;
    while (keep < outbox->count && outbox->entries[keep].commit <= commit)
        keep++;
    if (keep == 0)
        return;
    size_t gone = keep < outbox->count ? outbox->entries[keep].offset : outbox->bytes.length;
    if (gone > 0)
        memmove(outbox->bytes.data, outbox->bytes.data + gone, outbox->bytes.length - gone);
    outbox->bytes.length -= gone;
    outbox->count -= keep;
    memmove(outbox->entries, outbox->entries + keep, sizeof *outbox->entries * outbox->count);
    for (uint32_t i = 0; i < outbox->count; i++)
        outbox->entries[i].offset -= gone;
}

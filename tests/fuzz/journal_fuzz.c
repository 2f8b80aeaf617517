/* Journal lines out of any bytes: no crash, no leak; what is accepted, encoded and read again, is the same to the byte.
 */
#include "tidemark/codec/journal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const tm_journal_line *line, tm_buffer *out)
{
    tm_buffer_init(out, TM_JOURNAL_LINE_MAX);
    if (line->commit != NULL)
        tm_journal_encode_commit(line->commit, out);
    else
        tm_journal_encode_configuration(line->configuration, out);
    if (out->overflowed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tm_journal_line *line = NULL;
    tm_journal_line *again = NULL;
    tm_buffer first;
    tm_buffer second;
    tm_error error;
    if (tm_journal_decode((tm_slice){(const char *)data, size}, &line, &error) != TM_OK)
        return 0;
    encode(line, &first);
    if (tm_journal_decode(tm_buffer_slice(&first), &again, &error) != TM_OK)
        abort();
    encode(again, &second);
    if (!tm_slice_equal(tm_buffer_slice(&first), tm_buffer_slice(&second)))
        abort();
    tm_buffer_done(&first);
    tm_buffer_done(&second);
    tm_journal_line_free(line);
    tm_journal_line_free(again);
    return 0;
}

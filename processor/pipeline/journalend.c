#include "tidemark/pipeline/journalend.h"

#include "tidemark/codec/journal.h"

enum { BACK_FIRST = 64 }; /* records: a few commits, markers of transactions, the rare configuration */

bool tm_position_unknown(tm_position committed)
{
    return committed.commit == 0 && committed.next[TM_INPUT_USAGE] < 0 && committed.next[TM_INPUT_ACCOUNTS] < 0;
}

static tm_status read_on(const tm_journal_source *journal, tm_slice group, const bool on[TM_INPUTS],
                         tm_position *published, tm_error *error)
{
    tm_status status;
    tm_slice bytes;
    while ((status = journal->next(journal->context, &bytes, error)) == TM_OK && bytes.data) {
        tm_journal_line *line = NULL;
        status = tm_journal_decode(bytes, &line, error);
        if (status != TM_OK)
            return status;
        const tm_journal_commit *commit = line->commit;
        if (commit && tm_slice_equal(commit->group, group)) {
            published->commit = commit->commit;
            published->claim = commit->epoch;
            for (int i = 0; i < TM_INPUTS; i++)
                published->next[i] = on[i] ? commit->to[i] : -1;
        }
        tm_journal_line_free(line);
    }
    return status;
}

tm_status tm_journal_end(const tm_journal_source *journal, tm_slice group, int32_t partition, const bool on[TM_INPUTS],
                         tm_position *ret_published, tm_error *error)
{
    tm_status status = TM_OK;
    bool whole = false;
    *ret_published = (tm_position){{-1, -1}, 0};
    for (int64_t back = BACK_FIRST; status == TM_OK && !whole && ret_published->commit == 0; back *= 16) {
        status = journal->open(journal->context, partition, back < INT32_MAX ? back : -1, &whole, error);
        if (status == TM_OK)
            status = read_on(journal, group, on, ret_published, error);
        journal->close(journal->context);
    }
    return status;
}

#include "tidemark/pipeline/waiting.h"

#include <string.h>

enum { WORDS = TM_NOTE_MAX / 8, READ_TRIES = 1000 };

const char *tm_waiting_name(tm_waiting waiting)
{
    static const char *const names[] = {"nothing", "group", "input", "store", "publisher", "journal"};
    return (unsigned)waiting < TM_WAITINGS ? names[waiting] : "?";
}

/* Every access is sequentially consistent, so that no fence is needed: what a reader finds between two equal even turns
   was written before the first of them. */
void tm_note_write(tm_note *note, int64_t number, tm_slice text)
{
    uint64_t words[WORDS] = {0};
    memcpy(words, text.data ? text.data : "", text.length < TM_NOTE_MAX ? text.length : TM_NOTE_MAX - 1);
    uint32_t turn = atomic_load(&note->turn);
    atomic_store(&note->turn, turn + 1);
    atomic_store(&note->number, number);
    for (int i = 0; i < WORDS; i++)
        atomic_store(&note->words[i], words[i]);
    atomic_store(&note->turn, turn + 2);
}

bool tm_note_read(const tm_note *note, int64_t *ret_number, char text[TM_NOTE_MAX])
{
    uint64_t words[WORDS];
    int64_t number = 0;
    for (int try = 0; try < READ_TRIES; try++) {
        uint32_t turn = atomic_load(&note->turn);
        if (turn % 2 != 0)
            continue;
        number = atomic_load(&note->number);
        for (int i = 0; i < WORDS; i++)
            words[i] = atomic_load(&note->words[i]);
        if (atomic_load(&note->turn) != turn)
            continue;
        memcpy(text, words, TM_NOTE_MAX);
        text[TM_NOTE_MAX - 1] = 0;
        if (ret_number)
            *ret_number = number;
        return true;
    }
    text[0] = 0;
    if (ret_number)
        *ret_number = 0;
    return false;
}

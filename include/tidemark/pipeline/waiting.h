/* What a worker waits for while something outside does not answer, and texts that one thread writes and any may read.
 */
#ifndef TIDEMARK_PIPELINE_WAITING_H
#define TIDEMARK_PIPELINE_WAITING_H

#include <stdatomic.h>

#include "tidemark/base/bytes.h"

typedef enum tm_waiting {
    TM_WAITING_NOTHING,
    TM_WAITING_GROUP,     /* to join, for an assignment, or for the group's committed offsets */
    TM_WAITING_INPUT,     /* for the brokers of the topics that are read */
    TM_WAITING_STORE,     /* for the state's store */
    TM_WAITING_PUBLISHER, /* for the brokers of the topics that are written */
    TM_WAITING_JOURNAL,   /* for the journal, which a rebuild reads */
    TM_WAITINGS
} tm_waiting;

/* "nothing", "group", "input", "store", "publisher", "journal"; static storage. */
const char *tm_waiting_name(tm_waiting waiting);

enum { TM_NOTE_MAX = 384 };

/* A number and a text. All zero is an empty one. One thread writes; a reader gets what one write wrote, never a mixture
   of two, and never holds the writer up. */
typedef struct tm_note {
    _Atomic uint32_t turn; /* odd while it is being written */
    _Atomic int64_t number;
    _Atomic uint64_t words[TM_NOTE_MAX / 8];
} tm_note;

/* Text beyond TM_NOTE_MAX - 1 bytes is left out. */
void tm_note_write(tm_note *note, int64_t number, tm_slice text);
/* The text, terminated; *ret_number (may be NULL) what was written with it. False, an empty text and 0 when it was
   being written all the time. */
bool tm_note_read(const tm_note *note, int64_t *ret_number, char text[TM_NOTE_MAX]);

#endif

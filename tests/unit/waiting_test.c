#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "tidemark/pipeline/waiting.h"

Test(waiting, names)
{
    const char *names[] = {"nothing", "group", "input", "store", "publisher", "journal"};
    for (int i = 0; i < TM_WAITINGS; i++)
        cr_assert_str_eq(tm_waiting_name((tm_waiting)i), names[i]);
    cr_assert_str_eq(tm_waiting_name((tm_waiting)77), "?");
}

Test(waiting, a_note_is_read_as_written)
{
    static tm_note note;
    char text[TM_NOTE_MAX];
    int64_t number = 9;
    cr_assert(tm_note_read(&note, &number, text));
    cr_assert_str_empty(text);
    cr_assert_eq(number, 0);
    tm_note_write(&note, -1, TM_SLICE_LITERAL("Redis at 127.0.0.1:6379: no answer in time"));
    cr_assert(tm_note_read(&note, &number, text));
    cr_assert_str_eq(text, "Redis at 127.0.0.1:6379: no answer in time");
    cr_assert_eq(number, -1);
    tm_note_write(&note, 7, (tm_slice){0});
    cr_assert(tm_note_read(&note, NULL, text));
    cr_assert_str_empty(text);
}

Test(waiting, a_long_text_is_cut)
{
    static tm_note note;
    char long_text[2 * TM_NOTE_MAX], text[TM_NOTE_MAX];
    memset(long_text, 'x', sizeof long_text);
    tm_note_write(&note, 1, (tm_slice){long_text, sizeof long_text});
    cr_assert(tm_note_read(&note, NULL, text));
    cr_assert_eq(strlen(text), TM_NOTE_MAX - 1);
}

Test(waiting, a_note_caught_half_written_is_not_read)
{
    static tm_note note;
    char text[TM_NOTE_MAX] = "before";
    int64_t number = 9;
    tm_note_write(&note, 3, TM_SLICE_LITERAL("whole"));
    atomic_fetch_add(&note.turn, 1);
    cr_assert_not(tm_note_read(&note, &number, text));
    cr_assert_str_empty(text);
    cr_assert_eq(number, 0);
    cr_assert_not(tm_note_read(&note, NULL, text));
}

enum { WRITES = 20000 };

static void *write_many(void *context)
{
    tm_note *note = context;
    char text[TM_NOTE_MAX];
    for (int i = 1; i <= WRITES; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        tm_note_write(note, i % 26, (tm_slice){text, (size_t)(1 + i % (TM_NOTE_MAX - 1))});
    }
    return NULL;
}

/* Every text is of one letter, the one its number names. */
Test(waiting, readers_never_see_two_writes_at_once)
{
    static tm_note note;
    pthread_t writer;
    char text[TM_NOTE_MAX];
    cr_assert_eq(pthread_create(&writer, NULL, write_many, &note), 0);
    for (;;) {
        int64_t number;
        uint32_t turn = atomic_load(&note.turn);
        if (tm_note_read(&note, &number, text)) {
            for (size_t i = 0; text[i]; i++)
                cr_assert_eq(text[i], 'a' + number, "'%c' at %zu of note %d", text[i], i, (int)number);
        }
        if (turn == 2 * WRITES)
            break;
    }
    pthread_join(writer, NULL);
}

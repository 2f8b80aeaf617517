/* What of a shard's two inputs has arrived, and which record comes next: the merge of semantics.md, with the rule that
   nothing is taken while an input that is not drained has nothing to show. */
#ifndef TIDEMARK_PIPELINE_INTAKE_H
#define TIDEMARK_PIPELINE_INTAKE_H

#include "tidemark/core/shard.h"
#include "tidemark/ports/source.h"

typedef struct tm_lane {
    bool on;
    tm_source_record *ring;
    uint64_t *hashes; /* of the keys, beside the ring: known early, so that what an event touches can be loaded early */
    uint32_t capacity, head, count;
    size_t bytes; /* of values that wait */
    bool paused;
    int64_t next;   /* the offset after the last record taken; where the commit's interval ends */
    int64_t passed; /* up to where reading has certainly come: beyond `next`, no record lies between; 0: not told yet */
    int64_t end;    /* no record at or beyond this offset is taken; INT64_MAX: no end */
    tm_time until;  /* no record with a greater effective time is taken */
    bool drained;   /* the broker confirmed that nothing waits, and nothing has arrived since */
    bool finished;  /* its end was reached */
    bool cut;       /* the log lost what comes next before it was read: the source stands, and has to be started anew */
    bool closed;    /* the other input went ahead on the word that this one was drained: its records wait for the next
                       commit */
} tm_lane;

typedef struct tm_intake {
    const tm_source *source;
    int32_t partition;
    tm_lane lanes[TM_INPUTS];
} tm_intake;

typedef enum tm_intake_answer {
    TM_INTAKE_RECORD,  /* *ret_record is the next; it is taken */
    TM_INTAKE_UNKNOWN, /* an input has nothing to show and is not known to be drained: poll, or confirm */
    TM_INTAKE_EMPTY,   /* every input is drained, closed or at its end */
} tm_intake_answer;

/* Reads from the position on. `until` TM_TIME_NEVER and ends INT64_MAX: no end. */
void tm_intake_init(tm_intake *intake, const tm_source *source, int32_t partition, bool accounts_on);
/* Releases what waits and frees. */
void tm_intake_done(tm_intake *intake);
/* A record that arrived; the intake releases it when it is done with it. Pauses an input that is far ahead. TM_OK or
 * TM_FATAL. */
tm_status tm_intake_push(tm_intake *intake, const tm_source_record *record);
/* Records of an input before `offset` are not wanted: what waits of them is released, reading goes on from there. Moves
   forward only. */
void tm_intake_skip(tm_intake *intake, tm_input input, int64_t offset);
/* A commit begins: nothing is closed, nothing is known to be drained. */
void tm_intake_begin(tm_intake *intake);
/* Asks the source about every input that has nothing to show. TM_OK; TM_RETRY: one did not answer (it counts as not
 * drained). */
tm_status tm_intake_confirm(tm_intake *intake, tm_error *error);
/* The next record in merged order, moved out of the intake: the caller releases it. */
tm_intake_answer tm_intake_take(tm_intake *intake, const tm_shard *shard, tm_source_record *ret_record);
/* Which record that would be, without taking it; false when none would be taken. */
bool tm_intake_next(tm_intake *intake, const tm_shard *shard, tm_input *ret_input, int64_t *ret_offset);
/* The least timestamp of the first records of both inputs that have one and are not beyond the end, when both have
   shown one or are drained. TM_TIME_NONE: none has. */
tm_time tm_intake_first_time(const tm_intake *intake);
/* True when some record waits that may be taken. */
bool tm_intake_waiting(const tm_intake *intake, const tm_shard *shard);
/* True when every input is drained with nothing waiting, or came to its end: stream time may follow the wall clock. */
bool tm_intake_drained(const tm_intake *intake);
/* True when an input stands since its next records are gone: the shard is to be claimed again. */
bool tm_intake_cut(const tm_intake *intake);
/* True when every input came to its end (offset, or time). */
bool tm_intake_finished(const tm_intake *intake);

#endif

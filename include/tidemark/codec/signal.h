/* A signal as CloudEvents 1.0 JSON (schemas/signal.schema.json): the contract that subscribers rely on. */
#ifndef TIDEMARK_CODEC_SIGNAL_H
#define TIDEMARK_CODEC_SIGNAL_H

#include "tidemark/base/bytes.h"
#include "tidemark/core/signal.h"

/* Where a signal was made: what differs between `run` and `replay` of the same records. */
typedef struct tm_signal_origin {
    tm_slice group;             /* absent: a replay of files; `source` is then "tidemark/replay" */
    int32_t partition;          /* the shard */
    tm_slice topics[TM_INPUTS]; /* names for `input` */
} tm_signal_origin;

enum { TM_SIGNAL_ID_TEXT = 37 }; /* a UUID and its NUL */

/* account/rule/raised_at in ms: the key of the episode, at most TM_EPISODE_KEY_MAX bytes. */
void tm_episode_key(tm_slice account, tm_slice rule, tm_time raised_at, tm_buffer *out);
/* UUIDv5 in the URL namespace of "tidemark:" episode "/" state "/" sequence. */
void tm_signal_id(tm_slice episode_key, tm_signal_state state, uint32_t sequence,
                  char ret_id[static TM_SIGNAL_ID_TEXT]);
/* The summary with its values, at most TM_SUMMARY_MAX bytes (cut at a character's end), into `out`. Without a rule: "".
 */
void tm_summary_render(const tm_signal *signal, tm_buffer *out);
/* One value in a summary's format, appended. */
void tm_format_value(tm_value value, tm_format format, const tm_zone *zone, tm_buffer *out);
/* Appends the JSON object, without a newline. */
void tm_signal_encode(const tm_signal *signal, const tm_signal_origin *origin, tm_buffer *out);
/* A value as JSON: durations as whole milliseconds, booleans, strings, numbers, null. */
void tm_value_encode(tm_value value, tm_buffer *out);

#endif

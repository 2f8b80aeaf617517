/* A signal as CloudEvents 1.0 JSON (schemas/signal.schema.json): the contract that subscribers rely on. */
#ifndef TIDEMARK_CODEC_SIGNAL_H
#define TIDEMARK_CODEC_SIGNAL_H

#include "tidemark/base/bytes.h"
#include "tidemark/core/signal.h"

/* Where a signal was made: what differs between `run` and `replay` of the same records. */
typedef struct tm_signal_origin {
    tm_slice group;             /* absent: a replay of files; `source` is then "tidemark/replay" */
    int32_t partition;          /* the shard */
    tm_slice topics[TM_INPUTS]; /* names for `input`; absent: it is null */
} tm_signal_origin;

enum {
    TM_SIGNAL_ID_TEXT = 37,       /* a UUID and its NUL */
    TM_SIGNAL_BYTES_MAX = 1 << 20 /* 32 expressions of 4 KiB with texts, every byte escaped at the worst */
};

/* account/rule/raised_at in ms: the key of the episode, at most TM_EPISODE_KEY_MAX bytes. */
void tm_episode_key(tm_slice account, tm_slice rule, tm_time raised_at, tm_buffer *out);
/* UUIDv5 (RFC 9562, section 5.5) in the URL namespace of "tidemark:" episode "/" state "/" sequence. A key is at most
   TM_EPISODE_KEY_MAX bytes; what goes beyond is left out. */
void tm_signal_id(tm_slice episode_key, tm_signal_state state, uint32_t sequence,
                  char ret_id[static TM_SIGNAL_ID_TEXT]);
/* The summary with its values, at most TM_SUMMARY_MAX bytes (cut at a character's end), appended to `out`. Nothing
   without a rule, and nothing for an erased account, of which nothing can be said. */
void tm_summary_render(const tm_signal *signal, tm_buffer *out);
/* One value in a summary's format, appended. null is "n/a", a text itself, a boolean true or false, whatever the
   format; a number, or a duration as its milliseconds: percent   times 100, to whole points from 10 on, else to one
   decimal: "44%", "9.9%" number    whole, or to two decimals without trailing zeros: "12", "3.1" duration  the greatest
   of d, h, m, s and the one below it where it is not 0: "3d 4h", "2m", "0s"; seconds are cut date      YYYY-MM-DD: the
   local day of an instant; of a text, that of an RFC 3339 time (a day stays as it is) plain     a duration as such,
   anything else as number Halves go to even, of the double's exact value. `zone` NULL counts as UTC. */
void tm_format_value(tm_value value, tm_format format, const tm_zone *zone, tm_buffer *out);
/* Appends the JSON object, without a newline. Room for the greatest there can be: TM_SIGNAL_BYTES_MAX. */
void tm_signal_encode(const tm_signal *signal, const tm_signal_origin *origin, tm_buffer *out);
/* A value as JSON: durations as whole milliseconds, booleans, strings, numbers, null. */
void tm_value_encode(tm_value value, tm_buffer *out);

#endif

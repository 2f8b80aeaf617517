/* An account's health as JSON (schemas/health-record.schema.json): what the compacted topic `health` holds of it. */
#ifndef TIDEMARK_CODEC_HEALTHRECORD_H
#define TIDEMARK_CODEC_HEALTHRECORD_H

#include "tidemark/base/bytes.h"
#include "tidemark/core/scores.h"

/* Factors have names of a file, values are numbers or account facts: every byte escaped at the worst. */
enum { TM_HEALTH_RECORD_BYTES_MAX = 1 << 20 };

/* Appends the JSON object, without a newline. Without a card all of it but account, stage and instant is null or empty.
   The caller looks at out->overflowed. */
void tm_health_record_encode(const tm_health_record *record, tm_buffer *out);
/* Appends the members that a record has in common with the `health` of a signal: "score":…,"band":…,"coverage":…,
   "change":…,"factors":[…], without braces. `health` has a card, or is all zero. */
void tm_health_members_encode(const tm_health *health, tm_buffer *out);

#endif

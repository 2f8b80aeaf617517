/* What an account keeps of its scores from one judgement to the next: the card that gave each, and the band it is in.
 */
#ifndef TIDEMARK_CORE_SCORES_H
#define TIDEMARK_CORE_SCORES_H

#include "tidemark/core/pack.h"

/* A score as state knows it: by the hash of its name, and its card likewise. */
typedef struct tm_track {
    uint64_t score;   /* tm_score.identity */
    uint64_t card;    /* tm_card.identity; 0: none gave the score */
    uint32_t version; /* of the card */
    uint8_t band;     /* tm_band */
} tm_track;

/* Zero-initialised: nothing is kept. Only scores that the pack tracks are here. */
typedef struct tm_tracks {
    tm_track *list;
    uint32_t count;
} tm_tracks;

/* The entry of a score, or NULL. */
const tm_track *tm_tracks_find(const tm_tracks *tracks, uint64_t score);
/* The same, made when it was not there. NULL without memory. Earlier pointers to entries become invalid. */
tm_track *tm_tracks_make(tm_tracks *tracks, tm_heap *heap, uint64_t score);
void tm_tracks_free(tm_tracks *tracks, tm_heap *heap);
size_t tm_tracks_memory(const tm_tracks *tracks); /* bytes of heap it holds */

/* The band of a score of so many tenths, coming from `former` (TM_BAND_NONE: from nowhere): a band is left only beyond
   the card's margin. */
tm_band tm_band_next(const tm_card *card, tm_band former, int32_t tenths);

/* Looks at the tracked scores (docs/semantics.md, Bands): the evaluator has begun for the account and this instant, and
   the account's stage is found. *ret_changed: something of it differs from before. *stirred gains the rules that this
   is a change for. TM_OK, or TM_FATAL without memory. */
tm_status tm_tracks_step(tm_tracks *tracks, tm_heap *heap, const tm_pack *pack, tm_evaluator *evaluator,
                         uint64_t *stirred, bool *ret_changed);

#endif

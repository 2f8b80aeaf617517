/* What an account keeps of its scores from one judgement to the next: the band each is in, which card gave it since
   when, and what it was day by day. */
#ifndef TIDEMARK_CORE_SCORES_H
#define TIDEMARK_CORE_SCORES_H

#include "tidemark/core/moment.h"
#include "tidemark/core/pack.h"

/* From `day` on the score was given by this card, under this version, in this stage. */
typedef struct tm_tenure {
    uint64_t card;    /* tm_card.identity; 0: none gave the score */
    uint64_t stage;   /* tm_stage.identity; 0: none */
    uint32_t version; /* of the card; 0 without one */
    int32_t day;
} tm_tenure;

enum { TM_SCORE_NULL = -1, TM_SCORE_UNTOLD = -2, TM_SCORE_OUTDATED = -3 };
/* A score is told again once it lies so many tenths from what was told, at most once a local day. */
enum { TM_SCORE_TELL_TENTHS = 10 };

/* From the track's origin + `after` days on each day's score was this. */
typedef struct tm_score_run {
    uint16_t after;
    int16_t tenths; /* of points; TM_SCORE_NULL: null */
} tm_score_run;

/* A score as state knows it: by the hash of its name. */
typedef struct tm_track {
    uint64_t score;     /* tm_score.identity */
    tm_tenure *tenures; /* oldest first; the last is the present one. One at least once the score was looked at */
    tm_score_run *runs; /* oldest first; the last is that of today so far. None where the pack keeps no days */
    int32_t origin;
    uint16_t run_count, run_capacity;
    uint16_t reach; /* days before today that are kept */
    uint8_t tenure_count, tenure_capacity;
    uint8_t band; /* tm_band */
    /* What subscribers of the score were told, in tenths: TM_SCORE_UNTOLD nothing yet, TM_SCORE_OUTDATED (within a
       judgement) something that another gave; and the local day of it. Of the score health only. */
    int16_t told;
    int32_t told_day;
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

/* Says what gave the score from `day` on: appends to the tenures when it is another than the last (of which the one of
   the same day gives way), the oldest going when there are too many. *ret_changed only when it did. TM_OK, or TM_FATAL
   without memory. */
tm_status tm_track_tenure(tm_track *track, tm_heap *heap, const tm_tenure *tenure, bool *ret_changed);
/* Sets the score of `day`, never before the last one set, and forgets days before day − reach. TM_OK, or TM_FATAL
   without memory. *ret_changed as above. */
tm_status tm_track_put(tm_track *track, tm_heap *heap, int32_t day, int16_t tenths, bool *ret_changed);

/* The day from which on days can be compared with today: since then the score was given alike, and is known. INT32_MAX:
   none. */
int32_t tm_track_since(const tm_track *track);
/* The run that holds on `day`: its index, or -1 before the first. */
int32_t tm_track_at(const tm_track *track, int32_t day);

/* What a node of the days of this score comes to on the local day `today`. *ret_moves: it may be another at the next
   midnight without a judgement before; not, where the first day it looks at has the score of today, since a change of
   today's has the account judged at midnight (tm_tracks_step). */
tm_value tm_track_value(const tm_track *track, const tm_node *node, int32_t today, bool *ret_moves);

/* The band of a score of so many tenths, coming from `former` (TM_BAND_NONE: from nowhere): a band is left only beyond
   the card's margin. */
tm_band tm_band_next(const tm_card *card, tm_band former, int32_t tenths);

/* Looks at the tracked scores (docs/semantics.md, Bands and Days): the evaluator has begun for the account and this
   instant, and the account's stage (0: none) is found. *ret_changed: something of it differs from before. *stirred
   gains the rules that this is a change for. *ret_due: the next midnight where the day's score was another until now,
   or where the score named health is to be told then, else TM_TIME_NEVER. *ret_told: it is to be told now (Records of
   scores), and counts as told. TM_OK, or TM_FATAL without memory. */
tm_status tm_tracks_step(tm_tracks *tracks, tm_heap *heap, const tm_pack *pack, uint64_t stage, const tm_moment *now,
                         tm_evaluator *evaluator, uint64_t *stirred, tm_time *ret_due, bool *ret_told,
                         bool *ret_changed);

/* The score named health at an instant, as signals show it. */
typedef struct tm_health_factor {
    const tm_factor *factor;
    tm_value value, points;
    double weight;       /* out of 100, after the weight of factors without points was shared among the others */
    double contribution; /* what it adds to the score; both rounded to tenths */
} tm_health_factor;

typedef struct tm_health {
    const tm_card *card; /* NULL: none gives the score, and nothing of the rest is known */
    tm_value score;
    double coverage;
    tm_band band;
    tm_value change_week, change_month;       /* of the score over 7 and 28 days; null where they are not comparable */
    tm_health_factor factors[TM_FACTORS_MAX]; /* what costs the score most first, those without points last */
    uint32_t factor_count;
} tm_health;

enum { TM_HEALTH_WEEK = 7, TM_HEALTH_MONTH = 28 };

/* What is told of an account's health: everything points into the account, the pack or the judge's room, valid during
   the call that hands it over. */
typedef struct tm_health_record {
    tm_slice account;
    tm_time at;
    tm_slice stage;          /* absent: none */
    const tm_health *health; /* its card is NULL where none gives the score any more */
    int64_t rules_version;
} tm_health_record;

/* What the score named health is made of, after tm_tracks_step of the same instant. */
void tm_health_find(tm_health *ret_health, const tm_tracks *tracks, const tm_pack *pack, const tm_moment *now,
                    tm_evaluator *evaluator);

#endif

/* One account's state: facts, series, episodes. */
#ifndef TIDEMARK_CORE_ACCOUNT_H
#define TIDEMARK_CORE_ACCOUNT_H

#include "tidemark/core/baseline.h"
#include "tidemark/core/episode.h"
#include "tidemark/core/facts.h"
#include "tidemark/core/scores.h"
#include "tidemark/core/series.h"
#include "tidemark/core/stages.h"

typedef enum tm_input { TM_INPUT_USAGE, TM_INPUT_ACCOUNTS, TM_INPUTS } tm_input;

typedef struct tm_account {
    uint64_t hash;      /* tm_hash of the key */
    tm_slice key;       /* owned */
    tm_facts *facts;    /* NULL before the first account record */
    tm_series **series; /* one a metric of the pack; NULL entries: nothing counted */
    uint32_t series_count;
    tm_episode *episodes; /* only rules that are or were ever other than inactive, ascending by `rule` */
    uint32_t episode_count, episode_capacity;
    tm_stage_path stages;
    tm_tracks tracks;
    int64_t input_offset; /* the last applied record: for `input` of signals. -1: none */
    uint8_t input;        /* tm_input of it */
    bool changed;         /* differs from what the store holds: to be written by the next commit */
    tm_time judge_at;     /* where its entry in the agenda stands; TM_TIME_NEVER: nowhere */
    tm_time later_at;     /* a later instant at which an entry of it stands too; TM_TIME_NEVER: none known */
    /* What the last judgement found stands until then as far as time goes: before it, only the rules of `stirred` (bit
       i mod 64, of what was applied since) can come to another result. TM_TIME_NONE: all rules are to be judged. */
    tm_time stands_until;
    uint64_t stirred;
    bool standing_stirred; /* … and so for its stage, */
    bool scores_stirred;   /* and for its scores */
    /* What the pack's baselines came to: found again where it is lost, so never saved. One a slot of the pack. */
    tm_derived *derived;
    uint32_t derived_count;
} tm_account;

/* A new, empty account for `pack` in `heap`. NULL without memory. */
tm_account *tm_account_new(tm_heap *heap, const tm_pack *pack, tm_slice key);
void tm_account_free(tm_heap *heap, tm_account *account);
size_t tm_account_memory(const tm_account *account); /* bytes of heap it holds */

/* Statistics of one applied event, over the metrics that took it. */
typedef struct tm_applied {
    uint32_t counted, late, beyond;
} tm_applied;

/* Counts an accepted event: for each metric that selects it, `where` is evaluated with `evaluator` (environment moment
   = the instant applied), then its series takes the sample. `at_day` is the local day of event->at. TM_OK, TM_FATAL
   without memory, or TM_BROKEN. */
tm_status tm_account_apply(tm_account *account, tm_heap *heap, const tm_event *event, int32_t at_day,
                           const tm_environment *environment, tm_selector *selector, tm_evaluator *evaluator,
                           tm_applied *ret_applied);
/* Forgets what baselines came to: to be called when something else than tm_account_apply changes what they read, or
   when they were asked about an instant to which more records may come. */
void tm_account_forget_derived(tm_account *account);
/* Replaces all facts. TM_OK, or TM_FATAL without memory (the old facts stay). */
tm_status tm_account_set_facts(tm_account *account, tm_heap *heap, const tm_facts_draft *draft);

/* The episode of a rule, or NULL when it never left inactive. */
tm_episode *tm_account_episode(const tm_account *account, uint64_t rule_identity);
/* The same, made inactive when it was not there. NULL without memory. Earlier pointers to episodes become invalid. */
tm_episode *tm_account_episode_make(tm_account *account, tm_heap *heap, uint64_t rule_identity);
/* Removes an episode; its rule_name is freed. */
void tm_account_episode_drop(tm_account *account, tm_heap *heap, uint64_t rule_identity);
/* Sets or (NULL, 0) frees the owned copy of the rule's name. TM_OK or TM_FATAL without memory. */
tm_status tm_episode_set_name(tm_episode *episode, tm_heap *heap, tm_slice name);
/* The episode's notes, empty ones when it had none. NULL without memory. */
tm_episode_notes *tm_episode_notes_make(tm_episode *episode, tm_heap *heap);
/* Notes by whom and when the open episode was acknowledged; TM_TIME_NONE: by nobody (any more). The episode has notes.
   TM_OK or TM_FATAL. */
tm_status tm_episode_set_acknowledged(tm_episode *episode, tm_heap *heap, tm_time at, tm_slice by);
/* Notes that the rule's episode was raised at `t`, where the rule looks for flapping. TM_OK or TM_FATAL. */
tm_status tm_episode_note_raise(tm_episode *episode, tm_heap *heap, const tm_rule *rule, tm_time t);

/* Moves an account to another pack: series are matched by metric identity, those of removed metrics are dropped;
 * episodes stay (the judge clears those of removed rules). TM_OK, TM_FATAL or TM_BROKEN. */
tm_status tm_account_adopt(tm_account *account, tm_heap *heap, const tm_pack *from, const tm_pack *to);

#endif

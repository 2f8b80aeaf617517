#include "tidemark/pipeline/rebuild.h"

#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/report.h"

#include <stdlib.h>

#include "ledgerroom.h"
#include "tidemark/base/crashpoint.h"
#include "tidemark/rules/packfile.h"

struct tm_rebuild {
    tm_ledger *ledger;
    const tm_journal_source *journal;
    tm_holding *holding;
    tm_position target; /* C: where the journal has to lead */
    bool tail;          /* the store has an older state: only what lies beyond it is replayed */
    tm_shard_meta meta; /* then: that state's */
    bool rules_wanted;  /* … whose rules the journal has yet to show */
    bool lacking;       /* … or does not have */
    int64_t back;       /* how far before its end the journal was begun; negative: at the first line kept */
    bool whole;         /* … which is so */
    bool located;       /* a line was seen from which on all are there */
    int reopened;
    tm_journal_line *unplaced; /* read, and not yet known what it is to this replay */
    tm_journal_line *line;
    const tm_pack *pack; /* the shard's, as of the current line */
    tm_pack **packs;     /* rules of the past, compiled from the journal */
    uint32_t pack_count;
    bool adopted;             /* rules or settings in force are newer than the journal */
    int64_t first[TM_INPUTS]; /* least offset the log still has */
    int64_t commit;           /* the last line replayed */
    bool begun;               /* the current line's records are being applied */
    bool gone;                /* the log no longer has all records of the current line */
    bool partial;             /* nor of some line before: episodes are the journal's from there on */
    tm_time complete_from;    /* then: no record is missing since */
    bool at_end;
    bool saving; /* what was replayed so far is being written, at `saved` */
    tm_position saved;
};

enum {
    APPLY_AT_ONCE = 20000,
    SAVE_FINGERPRINTS = 100000, /* accepted since the last write: enough for one */
    /* A commit number that the group's offsets name is in the journal, but the broker may show it a little later. */
    REOPEN_MAX = 50
};

/* Room in the journal for so many commits: a line each, markers of transactions, the rare configuration. */
static int64_t room_for(int64_t commits)
{
    return commits > INT64_MAX / 16 ? -1 : commits * 4 + 64;
}

static tm_status halt(tm_rebuild *r, tm_halt name, const char *what, tm_error *error)
{
    if (r->holding->shard && tm_heap_tripped(tm_shard_heap(r->holding->shard))) {
        if (what != error->what) /* else it says which record it was */
            (void)tm_poison_tripped(r->holding, "the journal was replayed", error);
        tm_report_broken(r->ledger, r->holding, error);
        return TM_FATAL;
    }
    tm_error why; /* `what` may be a part of *error */
    tm_fail(&why, TM_FATAL, "%s", what);
    tm_error_where(&why, "shard %d", (int)r->holding->partition);
    tm_halt_hint(name, r->holding->partition, &why);
    *error = why;
    tm_ledger_halt(r->ledger, r->holding, name, error);
    return TM_FATAL;
}

static tm_status open_journal(tm_rebuild *r, int64_t back, tm_error *error)
{
    tm_journal_line_free(r->line);
    r->line = NULL;
    r->at_end = r->located = false;
    r->back = back;
    r->ledger->asked = TM_WAITING_JOURNAL;
    return r->journal->open(r->journal->context, r->holding->partition, back, &r->whole, error);
}

tm_status tm_rebuild_new(tm_ledger *ledger, const tm_journal_source *journal, tm_holding *holding,
                         tm_rebuild **ret_rebuild, tm_error *error)
{
    *ret_rebuild = NULL;
    tm_rebuild *r = calloc(1, sizeof *r);
    if (!r)
        return tm_fail(error, TM_FATAL, "no memory for a rebuild");
    r->ledger = ledger;
    r->journal = journal;
    r->holding = holding;
    r->target = holding->published;
    r->tail = holding->stored.commit > 0;
    tm_status status = TM_OK;
    if (r->tail) {
        ledger->asked = TM_WAITING_STORE;
        status = tm_ledger_read_meta(ledger, holding, &r->meta, error);
        r->commit = holding->stored.commit;
        r->pack = holding->pack;
        r->rules_wanted = r->meta.pack_hash != holding->pack->hash;
    }
    if (status == TM_OK)
        status = open_journal(r, r->tail && !r->rules_wanted ? room_for(r->target.commit - r->commit) : -1, error);
    const tm_source *source = ledger->source;
    for (int i = 0; i < TM_INPUTS && status == TM_OK; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        if (!lane->on)
            continue;
        int64_t end, reached;
        ledger->asked = TM_WAITING_INPUT;
        status = source->bounds(source->context, (tm_input)i, holding->partition, &r->first[i], &end, &reached, error);
        int64_t next = r->tail && holding->stored.next[i] > r->first[i] ? holding->stored.next[i] : r->first[i];
        int64_t begin = next;
        if (r->tail && holding->marks[i].offset == next - 1 && next > r->first[i]) {
            holding->expected[i] = holding->marks[i]; /* seen once more: it has to be the same */
            begin = next - 1;
        }
        if (status == TM_OK && begin <= end)
            status = source->start(source->context, (tm_input)i, holding->partition, begin, error);
        lane->next = next;
        if (status == TM_OK && r->target.next[i] > end) {
            (void)halt(r, TM_HALT_TOPIC_CUT,
                       "the group's offsets are beyond the end of the input: the topic was recreated or cut", error);
            tm_rebuild_free(r);
            return TM_OK;
        }
    }
    if (status != TM_OK) {
        tm_rebuild_free(r);
        return status;
    }
    TM_CRASH_POINT("rebuild_begin");
    holding->publishing = false;
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_integer("commit", r->target.commit), tm_log_integer("from", r->commit)};
    if (r->tail)
        ledger->log->write(ledger->log->context, TM_LOG_WARNING, "replaying",
                           "The store lost its last commits: they are replayed from the journal", fields, 3);
    else
        ledger->log->write(ledger->log->context, TM_LOG_WARNING, "rebuilding",
                           "The store has nothing of this shard: it is rebuilt from the journal", fields, 2);
    *ret_rebuild = r;
    return TM_OK;
}

void tm_rebuild_free(tm_rebuild *r)
{
    if (!r)
        return;
    tm_journal_line_free(r->unplaced);
    tm_journal_line_free(r->line);
    r->journal->close(r->journal->context);
    for (uint32_t i = 0; i < r->pack_count; i++)
        tm_pack_free(r->packs[i]);
    free(r->packs);
    free(r);
}

/* The pack of a journal line: the one in force, or compiled from the text the journal kept. NULL: it cannot be, and the
 * error says why. */
static const tm_pack *pack_of(tm_rebuild *r, const tm_journal_configuration *line, tm_error *error)
{
    const tm_pack *current = r->holding->pack;
    if (line->pack_hash == current->hash)
        return current;
    tm_pack **packs = realloc(r->packs, sizeof(tm_pack *) * (r->pack_count + 1));
    if (!packs) {
        tm_fail(error, TM_FATAL, "no memory for the rules of that time");
        return NULL;
    }
    r->packs = packs;
    tm_pack *pack = NULL;
    if (tm_packfile_parse(line->rules, "rules in the journal", NULL, &pack, error) != TM_OK)
        return NULL;
    r->packs[r->pack_count++] = pack;
    return pack;
}

static tm_status take_configuration(tm_rebuild *r, const tm_journal_configuration *line, tm_error *error)
{
    const tm_pipeline_settings *settings = r->holding->settings;
    if (!tm_slice_equal(line->timezone, settings->timezone))
        /* Days are buckets of the state: what was counted by the days of one zone cannot be told by those of another.
         */
        return halt(r, TM_HALT_JOURNAL_CONFIGURATION, "the journal was written under another time zone", error);
    if (line->dedup_entries > UINT32_MAX) /* the rest was looked at when the line was read */
        return halt(r, TM_HALT_JOURNAL_DAMAGED, "the journal has a configuration that cannot be", error);
    const tm_pack *pack = pack_of(r, line, error);
    if (!pack)
        return halt(r, TM_HALT_RULES_LOST, "the rules that the journal kept cannot be compiled any more", error);
    tm_status status =
        tm_holding_semantics(r->holding, line->evaluate_every, line->max_skew, line->dedup_window, line->dedup_entries);
    if (status == TM_OK && !r->holding->shard)
        status = tm_holding_make_shard(r->holding, pack, line->counting_start, NULL);
    else if (status == TM_OK && pack != r->pack)
        status = tm_shard_adopt(r->holding->shard, pack);
    if (status != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory for a shard", error);
    if (!tm_slice_equal(line->mapping, settings->mapping) ||
        !tm_slice_equal(line->key_mismatch, settings->key_mismatch)) {
        tm_log_field fields[] = {tm_log_integer("partition", r->holding->partition),
                                 tm_log_integer("commit", line->commit)};
        r->ledger->log->write(r->ledger->log->context, TM_LOG_WARNING, "rebuild_differs",
                              "Records were read by another mapping or key_mismatch: they may say something else now",
                              fields, 2);
        r->adopted = true; /* the next commit tells what is in force from then on */
    }
    r->pack = pack;
    return TM_OK;
}

/* The state that the store still has, under the rules it was written under. */
static tm_status load_kept(tm_rebuild *r, tm_error *error)
{
    tm_holding *holding = r->holding;
    if (r->rules_wanted) {
        /* The journal no longer has them: what they said until now stands, and what they would have said is not known.
         */
        r->rules_wanted = false;
        r->lacking = true;
        r->adopted = true; /* the next commit tells the rules in force, which the journal has nowhere */
    }
    tm_status status = tm_ledger_load(r->ledger, holding, r->pack, &r->meta, NULL, error);
    if (status == TM_OK || status == TM_REJECT) {
        /* It was read in several calls: it is one state only if the store is still where it was claimed. */
        tm_shard_meta still;
        tm_error moved;
        tm_status claimed = tm_ledger_read_meta(r->ledger, holding, &still, &moved);
        if (claimed != TM_OK)
            *error = moved;
        if (claimed == TM_REJECT) {
            tm_holding_drop(holding);
            return TM_REJECT;
        }
        status = claimed == TM_OK ? status : claimed;
    }
    if (status == TM_RETRY) {
        tm_shard_free(holding->shard); /* half of it is none */
        holding->shard = NULL;
        holding->span_count = 0;
        return status;
    }
    return status == TM_OK ? TM_OK : halt(r, TM_HALT_STATE_DAMAGED, error->what, error);
}

/* The line of R.n has to be that of the state that the store has. A store that was given up, and then comes back, may
   have a commit that was never published, while another one was under the same number: what follows does not follow
   from it. Where it is not known whose commit it is, it has to lead to the same place. */
static tm_status same_history(tm_rebuild *r, const tm_journal_commit *line, tm_error *error)
{
    const tm_holding *holding = r->holding;
    bool same = r->meta.claim ? line->epoch == r->meta.claim : line->t_after == r->meta.time;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (line->to[i] > 0 && holding->stored.next[i] >= 0) /* otherwise the input was switched off */
            same &= line->to[i] == holding->stored.next[i];
    }
    if (same)
        return TM_OK;
    return halt(r, TM_HALT_STATE_FOREIGN,
                "the store has a commit that was never published: another one was, under the same number, while the "
                "store was away",
                error);
}

/* What a line is to this replay, by its number: false: nothing. */
static tm_status line_counts(tm_rebuild *r, const tm_journal_line *line, bool *ret_counts, tm_error *error)
{
    int64_t n = line->configuration ? line->configuration->commit : line->commit->commit;
    *ret_counts = false;
    if (n <= r->commit && (r->tail || r->holding->shard)) { /* in what is there already */
        r->located = true;
        bool last = line->commit && n == r->commit && r->tail && !r->holding->shard;
        return last ? same_history(r, line->commit, error) : TM_OK;
    }
    if (!r->located && !r->whole && (r->tail || n > r->commit + 1))
        return open_journal(r, r->back > INT64_MAX / 16 ? -1 : r->back * 8, error); /* not far enough back */
    r->located = true;
    *ret_counts = true;
    return r->tail && !r->holding->shard ? load_kept(r, error) : TM_OK;
}

/* Reads a line into `unplaced`; none at the end, or when it is another group's. */
static tm_status read_line(tm_rebuild *r, tm_error *error)
{
    tm_slice bytes;
    r->ledger->asked = TM_WAITING_JOURNAL;
    tm_status status = r->journal->next(r->journal->context, &bytes, error);
    if (status != TM_OK)
        return status;
    if (!bytes.data) {
        r->at_end = true;
        return TM_OK;
    }
    tm_journal_line *line;
    status = tm_journal_decode(bytes, &line, error);
    if (status != TM_OK)
        return halt(r, TM_HALT_JOURNAL_DAMAGED, "a line of the journal cannot be read", error);
    tm_slice group = line->commit ? line->commit->group : line->configuration->group;
    if (tm_slice_equal(group, r->holding->settings->group))
        r->unplaced = line;
    else
        tm_journal_line_free(line); /* of another group that journals to the same topic */
    TM_CRASH_POINT("rebuild_line");
    return TM_OK;
}

/* Fetches the next line. */
static tm_status next_line(tm_rebuild *r, tm_error *error)
{
    tm_journal_line_free(r->line);
    r->line = NULL;
    r->begun = false;
    tm_status status = r->unplaced ? TM_OK : read_line(r, error);
    tm_journal_line *line = r->unplaced;
    if (status != TM_OK || !line)
        return status;
    const tm_journal_configuration *configuration = line->configuration;
    if (r->rules_wanted && configuration && configuration->pack_hash == r->meta.pack_hash) {
        r->pack = pack_of(r, configuration, error);
        if (!r->pack)
            return halt(r, TM_HALT_RULES_LOST, "the rules that the journal kept cannot be compiled any more", error);
        r->rules_wanted = false;
    }
    bool counts;
    status = line_counts(r, line, &counts, error);
    if (status == TM_RETRY)
        return status; /* what the line needs did not answer: the same line again */
    r->unplaced = NULL;
    if (status == TM_OK && counts && configuration)
        status = take_configuration(r, configuration, error);
    if (status == TM_OK && counts && !configuration)
        r->line = line;
    else
        tm_journal_line_free(line);
    return status;
}

static tm_status erase_again(tm_rebuild *r, const tm_journal_erasure *erasure)
{
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .offset = -1,
                        .timestamp = erasure->at,
                        .kind = TM_RECORD_ERASE,
                        .account = erasure->account};
    tm_outcome outcome;
    return tm_shard_apply(r->holding->shard, &record, &outcome);
}

/* Whether the account was erased after the signal was made. What stands open is cleared at the erasure's own time;
   whatever else has that time came after it. */
static bool erased_since(const tm_journal_commit *line, const tm_journal_signal *s)
{
    for (uint32_t i = 0; i < line->erasure_count; i++) {
        const tm_journal_erasure *erasure = &line->erasures[i];
        if (tm_slice_equal(erasure->account, s->account) &&
            (erasure->at > s->time || (erasure->at == s->time && s->state == TM_SIGNAL_CLEARED)))
            return true;
    }
    return false;
}

/* Episodes as the line tells them: once records are missing, judging again would tell others than were published. */
static tm_status impose(tm_rebuild *r, const tm_journal_commit *line)
{
    tm_status status = TM_OK;
    for (uint32_t i = 0; r->gone && i < line->erasure_count && status == TM_OK; i++)
        status = erase_again(r, &line->erasures[i]);
    for (uint32_t i = 0; i < line->signal_count && status == TM_OK; i++) {
        const tm_journal_signal *s = &line->signals[i];
        if (!erased_since(line, s))
            status = tm_shard_impose(r->holding->shard, s->account, s->rule, s->kind, s->severity, s->state,
                                     s->raised_at, s->time, s->sequence);
    }
    return status;
}

/* The end of a journal some of whose records were gone: from here on the shard judges for itself. */
static tm_status end_partial(tm_rebuild *r)
{
    r->partial = false;
    if (r->complete_from != TM_TIME_NONE)
        tm_shard_count_from(r->holding->shard, r->complete_from);
    return tm_shard_mute(r->holding->shard, false);
}

static tm_status finish_line(tm_rebuild *r, const tm_journal_commit *line, tm_error *error)
{
    tm_holding *holding = r->holding;
    tm_status status = TM_OK;
    if (r->partial) {
        status = impose(r, line);
        if (status == TM_OK)
            tm_shard_restore_time(holding->shard, line->t_after, line->judged);
    } else if (line->drained) {
        status = tm_shard_advance(holding->shard, line->t_after);
    }
    if (status != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory to rebuild the shard", error);
    if (!r->partial &&
        (tm_shard_time(holding->shard) != line->t_after || holding->signal_count != line->signal_count)) {
        tm_log_field fields[] = {
            tm_log_integer("partition", holding->partition), tm_log_integer("commit", line->commit),
            tm_log_integer("signals", holding->signal_count), tm_log_integer("journalled", line->signal_count)};
        r->ledger->log->write(r->ledger->log->context, TM_LOG_WARNING, "rebuild_differs",
                              "A replayed commit differs from the journal: account records were compacted since",
                              fields, 4);
    }
    if (!r->tail)
        tm_shard_settled(holding->shard); /* at the end all of it is written */
    holding->open = false;
    holding->records = 0;
    holding->told_count = 0;
    r->commit = line->commit;
    r->lacking = false;
    r->saved.commit = line->commit;
    r->saved.claim = line->epoch;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (holding->intake.lanes[i].on && holding->intake.lanes[i].next < line->to[i])
            holding->intake.lanes[i].next = line->to[i];
        r->saved.next[i] = holding->intake.lanes[i].on ? holding->intake.lanes[i].next : holding->stored.next[i];
    }
    r->saving = r->tail && !r->partial && r->pack == holding->pack && r->commit != r->target.commit &&
                (tm_shard_changed_count(holding->shard) >= holding->settings->commit_accounts ||
                 tm_shard_accepted_count(holding->shard) >= SAVE_FINGERPRINTS);
    return TM_OK;
}

/* Writes the shard at `position`; what lies beyond the store's is published already. TM_REJECT: it is to be claimed
   again, and was dropped. */
static tm_status install(tm_rebuild *r, tm_position position, tm_error *error)
{
    tm_holding *holding = r->holding;
    /* It is of the rules of its last line, and says so: whoever takes it over tells the journal of newer ones. */
    const tm_pack *current = holding->pack;
    holding->pack = r->pack;
    tm_status status = tm_ledger_install(r->ledger, holding, position, error);
    holding->pack = current;
    if (status == TM_REJECT) /* another has it, or it has to be looked at again */
        tm_holding_drop(holding);
    if (status != TM_FATAL && status != TM_BROKEN)
        return status;
    return halt(r, TM_HALT_WRITE_FAILED, error->what, error);
}

static tm_status finish(tm_rebuild *r, tm_error *error)
{
    tm_holding *holding = r->holding;
    if (!holding->shard || r->commit != r->target.commit)
        return halt(r, TM_HALT_JOURNAL_SHORT, "the journal does not lead to the commit that the group's offsets name",
                    error);
    if ((r->partial && end_partial(r) != TM_OK) || (!r->tail && tm_shard_touch_all(holding->shard) != TM_OK))
        return halt(r, TM_HALT_MEMORY, "no memory to write the rebuilt shard", error);
    TM_CRASH_POINT("rebuild_install");
    tm_status status = install(r, r->target, error);
    TM_CRASH_POINT("rebuild_installed");
    if (status != TM_OK)
        return status == TM_REJECT ? TM_OK : status;
    /* Rules and settings changed since the last commit: what they do from here on is the next commit's to tell. */
    bool changed = r->pack != holding->pack;
    r->adopted |= changed;
    if (changed && tm_shard_adopt(holding->shard, holding->pack) != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory to go on with the rebuilt shard", error);
    r->pack = holding->pack;
    if (tm_holding_settle_semantics(holding, &changed) != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory to go on with the rebuilt shard", error);
    r->adopted |= changed;
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        lane->finished = lane->closed = lane->drained = false;
        lane->end = holding->settings->ends[i] ? holding->settings->ends[i][holding->partition] : INT64_MAX;
        lane->until = holding->settings->until;
    }
    holding->publishing = true;
    holding->configuration_told = !r->adopted;
    holding->state = TM_HOLDING_LIVE;
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_integer("commit", r->target.commit),
                             tm_log_integer("accounts", tm_shard_account_count(holding->shard))};
    if (r->tail)
        r->ledger->log->write(r->ledger->log->context, TM_LOG_INFO, "replayed",
                              "The store has again what it had lost; nothing was published twice", fields, 3);
    else
        r->ledger->log->write(r->ledger->log->context, TM_LOG_INFO, "rebuilt", "The shard was rebuilt from the journal",
                              fields, 3);
    return TM_OK;
}

/* Records before the line's were gone unread already: it says from when on metrics count since. */
static tm_status count_again(tm_rebuild *r, const tm_journal_commit *line, tm_error *error)
{
    tm_shard *shard = r->holding->shard;
    if (line->count_from <= 0)
        return TM_OK;
    tm_shard_count_from(shard, line->count_from);
    /* The worker had just taken the shard over: everybody was judged at the next instant. */
    bool anew = r->partial || (tm_shard_mute(shard, true) == TM_OK && tm_shard_mute(shard, false) == TM_OK);
    return anew ? TM_OK : halt(r, TM_HALT_MEMORY, "no memory to rebuild the shard", error);
}

static tm_status begin_line(tm_rebuild *r, const tm_journal_commit *line, tm_error *error)
{
    tm_holding *holding = r->holding;
    bool gone = r->lacking;
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        if (!lane->on)
            continue;
        tm_intake_skip(&holding->intake, (tm_input)i, line->from[i]);
        gone |= line->from[i] < r->first[i] && line->from[i] < line->to[i];
        lane->end = line->to[i];
        lane->finished = lane->next >= line->to[i];
    }
    /* Lines may be missing too, at the journal's begin above all. */
    gone |= line->commit != r->commit + 1;
    r->gone = gone;
    r->partial |= gone;
    if (gone) {
        (void)tm_shard_mute(holding->shard, true);
        r->complete_from = line->t_after;
    }
    tm_holding_begin(holding, line->clock_begin);
    holding->told = line->skips;
    holding->told_count = line->skip_count;
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        lane->finished = lane->on && lane->next >= line->to[i];
    }
    r->begun = true;
    return count_again(r, line, error);
}

tm_status tm_rebuild_step(tm_rebuild *r, bool *ret_waiting, tm_error *error)
{
    tm_holding *holding = r->holding;
    *ret_waiting = false;
    uint32_t applied = 0;
    while (applied < APPLY_AT_ONCE) {
        if (r->saving) {
            tm_status status = install(r, r->saved, error);
            if (status != TM_OK)
                return status == TM_REJECT ? TM_OK : status;
            r->saving = false;
        }
        if (!r->line && !r->at_end && r->commit != r->target.commit) {
            tm_status status = next_line(r, error);
            if (status != TM_OK)
                return status;
            continue;
        }
        if (r->at_end && r->reopened < REOPEN_MAX) {
            r->reopened++;
            *ret_waiting = true;
            return open_journal(r, room_for(r->target.commit - r->commit), error);
        }
        if (r->at_end || r->commit == r->target.commit)
            return finish(r, error);
        const tm_journal_commit *line = r->line->commit;
        if (!holding->shard)
            return halt(r, TM_HALT_JOURNAL_SHORT, "the journal has no configuration before its first commit", error);
        TM_CRASH_POINT("rebuild_commit");
        if (!r->begun && begin_line(r, line, error) != TM_OK)
            return TM_FATAL;
        if (tm_shard_time(holding->shard) == TM_TIME_NONE && line->t_before != TM_TIME_NONE)
            tm_shard_restore_time(holding->shard, line->t_before, false);
        uint32_t count = 0;
        tm_intake_answer answer = TM_INTAKE_EMPTY;
        if (!tm_intake_finished(&holding->intake)) {
            tm_status status = tm_holding_apply(holding, APPLY_AT_ONCE - applied, &count, &answer, error);
            if (status != TM_OK)
                return halt(r, TM_HALT_MEMORY, error->what, error);
            applied += count;
            if (answer == TM_INTAKE_UNKNOWN) {
                status = tm_intake_confirm(&holding->intake, error);
                if (count == 0 && !tm_intake_finished(&holding->intake)) {
                    *ret_waiting = true;
                    return status == TM_RETRY ? TM_OK : status;
                }
                continue;
            }
            if (answer == TM_INTAKE_RECORD)
                continue;
        }
        TM_CRASH_POINT("rebuild_commit_applied");
        tm_status status = finish_line(r, line, error);
        if (status != TM_OK)
            return status;
        tm_journal_line_free(r->line);
        r->line = NULL;
    }
    return TM_OK;
}

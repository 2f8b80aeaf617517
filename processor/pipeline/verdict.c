#include "tidemark/pipeline/verdict.h"

#include <stdio.h>

static const struct {
    const char *name, *means;
} rows[] = {
    {"clean", "both ledgers agree; it goes on"},
    {"unpublished", "a crash between the ledgers; what waits in the outbox is published, and it goes on"},
    {"tail_lost", "the store lost its last commits; they are replayed from the journal, and it goes on"},
    {"store_empty", "the store has nothing of it; it is rebuilt from the journal, and goes on"},
    {"first_start", "nothing is there yet; it begins where the log begins, or where the group's offsets say"},
    {"offsets_absent",
     "the group's offsets are gone, and everything was published; the next publication sets them again"},
    {"halt", "going on would mean guessing; an operator decides"},
};

const char *tm_row_name(tm_row row)
{
    return rows[row].name;
}

const char *tm_row_means(tm_row row)
{
    return rows[row].means;
}

static const char *decides(tm_halt halt)
{
    switch (halt) {
    case TM_HALT_OFFSETS_FOREIGN:
        return "give tidemark a consumer group of its own; was it only a tool that moved this group's offsets: "
               "'tidemark "
               "shard resume P' sets them to where the state is";
    case TM_HALT_OFFSETS_MOVED:
        return "'tidemark shard resume P' sets the group's offsets back to where the state is; 'tidemark shard reset "
               "P' "
               "begins anew";
    case TM_HALT_OFFSETS_OLDER:
    case TM_HALT_OFFSETS_EXPIRED:
        return "'tidemark shard resume P --outbox publish' publishes what waits, at the risk of publishing some of it "
               "twice; '--outbox discard' drops it, at the risk of losing some";
    case TM_HALT_TOPIC_RECREATED:
    case TM_HALT_TOPIC_CUT:
        return "bring the topic back, or 'tidemark shard reset P' begins anew with the topic as it is";
    case TM_HALT_PARTITIONS_CHANGED:
        return "move to a new group: set 'group' and 'topics.journal' to new names in tidemark.yaml and 'tidemark "
               "run'; "
               "it reads the log from its beginning under the new number";
    case TM_HALT_RULES_OLDER:
        return "deploy the newer rules here too, or raise this file's version above it, and 'tidemark run' again";
    case TM_HALT_CONFIGURATION_CHANGED:
    case TM_HALT_JOURNAL_CONFIGURATION:
        return "set both back; day buckets and hashed users mean nothing under others. Or 'tidemark shard reset P' "
               "begins "
               "anew";
    case TM_HALT_STATE_DAMAGED:
    case TM_HALT_STATE_FOREIGN:
    case TM_HALT_WRITE_FAILED:
        return "'tidemark shard rebuild P' makes the state again from the journal and the log";
    case TM_HALT_JOURNAL_DAMAGED:
    case TM_HALT_JOURNAL_SHORT:
        return "restore Redis or the journal topic from a copy, or 'tidemark shard reset P' begins anew (signals of "
               "conditions that hold are raised again)";
    case TM_HALT_RULES_LOST:
        return "start once with the version of tidemark that wrote them, then go on with this one; or 'tidemark shard "
               "reset P' begins anew";
    case TM_HALT_MEMORY:
        return "raise memory_limit, or spread the partitions over more processes, and 'tidemark run' again";
    default:
        return "keep the log and 'tidemark doctor --json' for a report; 'tidemark shard rebuild P' makes the state "
               "again";
    }
}

void tm_halt_hint(tm_halt halt, int32_t partition, tm_error *error)
{
    char text[sizeof error->hint];
    size_t length = 0;
    /* The only P of these texts is the shard's number. */
    for (const char *at = decides(halt); *at && length + 16 < sizeof text; at++) {
        if (*at == 'P')
            length += (size_t)snprintf(text + length, sizeof text - length, "%d", (int)partition);
        else
            text[length++] = *at;
    }
    text[length] = 0;
    tm_error_hint(error, "%s", text);
}

void tm_outbox_note(tm_outbox_extent *extent, int64_t commit)
{
    if (extent->oldest == 0)
        extent->oldest = commit;
    else if (commit != extent->newest && commit != extent->newest + 1)
        extent->gap = true;
    extent->newest = commit;
}

static void halt(tm_verdict *verdict, tm_halt name)
{
    verdict->row = TM_ROW_HALT;
    verdict->halt = name;
}

/* What the state was written under, against what is at hand. */
static bool judge_configuration(const tm_evidence *e, tm_verdict *ret)
{
    const tm_shard_meta *meta = e->meta;
    int64_t kept = meta ? (int64_t)meta->partitions : e->partitions_kept;
    if (kept > 0 && kept != (int64_t)e->partitions) {
        tm_fail(&ret->why, TM_REJECT,
                "the number of partitions changed since the state was written, from %lld to %lld: accounts have moved "
                "between shards",
                (long long)kept, (long long)e->partitions);
        halt(ret, TM_HALT_PARTITIONS_CHANGED);
    } else if (meta && e->rules_version > 0 && meta->rules_version > e->rules_version) {
        tm_fail(&ret->why, TM_REJECT, "the shard was last written under rules version %lld, this process has %lld",
                (long long)meta->rules_version, (long long)e->rules_version);
        halt(ret, TM_HALT_RULES_OLDER);
    } else if (meta && meta->configuration_hash != e->configuration_hash) {
        tm_fail(&ret->why, TM_REJECT, "the time zone or the user key differs from the one the state was written with");
        halt(ret, TM_HALT_CONFIGURATION_CHANGED);
    }
    return ret->row == TM_ROW_HALT;
}

/* Whether the store has the commit that C names, or another of the same number: one that was never published, and came
   back with a store that had been given up. What was published last when R was written tells it where R is ahead. */
static bool same_history(const tm_evidence *e)
{
    const tm_shard_meta *meta = e->meta;
    tm_position c = e->committed;
    int64_t claim = !e->present || !meta || c.commit <= 0 ? 0
                    : c.commit == e->stored.commit        ? meta->claim
                    : c.commit == meta->published         ? meta->published_claim
                                                          : 0;
    return claim == 0 || c.claim == 0 || claim == c.claim;
}

static void judge_positions(const tm_evidence *e, tm_verdict *ret)
{
    tm_position r = e->stored, c = e->committed;
    if (!same_history(e)) {
        tm_fail(&ret->why, TM_REJECT,
                "the store has another history than what was published: commit %lld of the group's offsets was made "
                "while this store was away",
                (long long)c.commit);
        halt(ret, TM_HALT_STATE_FOREIGN);
    } else if (!e->present) {
        ret->row = c.commit > 0 ? TM_ROW_STORE_EMPTY : TM_ROW_FIRST_START;
    } else if (c.commit > r.commit) {
        ret->row = TM_ROW_TAIL_LOST;
    } else if (c.commit == r.commit) {
        ret->row = TM_ROW_CLEAN;
        if (tm_position_equal(c, r))
            return;
        for (int i = 0; i < TM_INPUTS; i++) {
            if (!e->topics[i].data || c.next[i] >= 0 || r.next[i] < 0)
                continue;
            tm_fail(&ret->why, TM_REJECT,
                    "the group has no offsets of '%.*s' any more, as when a topic is deleted and made again",
                    (int)e->topics[i].length, e->topics[i].data);
            halt(ret, TM_HALT_TOPIC_RECREATED);
            return;
        }
        tm_fail(&ret->why, TM_REJECT,
                "the group's offsets were moved by hand: they name commit %lld at another position",
                (long long)c.commit);
        halt(ret, TM_HALT_OFFSETS_MOVED);
    } else if (e->outbox_known && c.commit == 0 && e->outbox.oldest == 0) {
        ret->row = TM_ROW_OFFSETS_ABSENT;
    } else {
        const tm_outbox_extent *o = &e->outbox;
        ret->row = TM_ROW_UNPUBLISHED;
        if (!e->outbox_known || (!o->gap && o->oldest == c.commit + 1 && o->newest == r.commit))
            return;
        if (c.commit == 0)
            tm_fail(
                &ret->why, TM_REJECT,
                "the group's offsets expired while outputs of commits %lld to %lld wait: whether they were published "
                "is not known",
                (long long)o->oldest, (long long)o->newest);
        else
            tm_fail(&ret->why, TM_REJECT,
                    "the group's offsets are older than the outputs the store still has: what lies between commit %lld "
                    "and %lld was published, or is lost",
                    (long long)c.commit, (long long)o->oldest);
        halt(ret, c.commit == 0 ? TM_HALT_OFFSETS_EXPIRED : TM_HALT_OFFSETS_OLDER);
    }
}

static void judge_log(const tm_evidence *e, tm_verdict *ret)
{
    /* Reading goes up to C where the state is behind it, and begins at R otherwise. */
    const tm_position *at = e->present && e->committed.commit <= e->stored.commit ? &e->stored : &e->committed;
    for (int i = 0; i < TM_INPUTS && ret->row != TM_ROW_HALT; i++) {
        if (!e->topics[i].data)
            continue;
        const tm_record_mark *kept = e->meta ? &e->meta->marks[i] : NULL, *found = e->beyond[i];
        if (e->end[i] >= 0 && at->next[i] > e->end[i]) {
            tm_fail(&ret->why, TM_REJECT,
                    "offset %lld of '%.*s' is the next to read, but the topic ends at %lld: it was recreated or cut",
                    (long long)at->next[i], (int)e->topics[i].length, e->topics[i].data, (long long)e->end[i]);
            halt(ret, TM_HALT_TOPIC_CUT);
        } else if (kept && found && kept->offset >= 0 && found->offset == kept->offset &&
                   (found->timestamp != kept->timestamp || found->key_hash != kept->key_hash)) {
            tm_fail(
                &ret->why, TM_REJECT,
                "the record at offset %lld of '%.*s' is another than the one the state was made from: the topic was "
                "recreated",
                (long long)found->offset, (int)e->topics[i].length, e->topics[i].data);
            halt(ret, TM_HALT_TOPIC_RECREATED);
        }
    }
}

void tm_verdict_of(const tm_evidence *evidence, int32_t partition, tm_verdict *ret_verdict)
{
    *ret_verdict = (tm_verdict){.row = TM_ROW_CLEAN};
    tm_error_clear(&ret_verdict->why);
    if (evidence->committed.commit < 0) {
        tm_fail(&ret_verdict->why, TM_REJECT,
                "the group has committed offsets that tidemark did not write: they name no commit");
        halt(ret_verdict, TM_HALT_OFFSETS_FOREIGN);
    } else if (!judge_configuration(evidence, ret_verdict)) {
        judge_log(evidence, ret_verdict); /* another log says more than what it did to the offsets */
        if (ret_verdict->row != TM_ROW_HALT)
            judge_positions(evidence, ret_verdict);
    }
    if (ret_verdict->row == TM_ROW_HALT) {
        tm_error_where(&ret_verdict->why, "shard %d", (int)partition);
        tm_halt_hint(ret_verdict->halt, partition, &ret_verdict->why);
    }
}

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/check.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/shards.h"

typedef struct examination {
    tm_buffer findings; /* what `check` would say */
    tm_buffer shards;   /* rows, or JSON objects */
    tm_buffer notes;    /* below the rows, for people */
    bool json;
    uint32_t count, halted, unknown;
} examination;

static void add_position(tm_buffer *out, const char *name, tm_position p)
{
    tm_buffer_append_format(out, ",\"%s\":", name);
    if (p.next[0] < 0 && p.next[1] < 0 && p.commit == 0) {
        tm_buffer_append_text(out, "null");
        return;
    }
    tm_buffer_append_format(out, "{\"usage\":%lld,\"accounts\":%lld,\"commit\":%lld}", (long long)p.next[0],
                            (long long)p.next[1], (long long)p.commit);
}

static void add_json(examination *x, const tm_shard_look *look)
{
    const tm_evidence *e = &look->evidence;
    tm_buffer *out = &x->shards;
    tm_buffer_append_format(out, "%s{\"shard\":%d,\"row\":\"%s\"", x->count ? "," : "", (int)look->partition,
                            tm_row_name(look->verdict.row));
    add_position(out, "state", e->stored);
    add_position(out, "offsets", e->committed);
    tm_buffer_append_format(out, ",\"epoch\":%lld,\"outbox\":", (long long)look->epoch);
    if (e->outbox.oldest)
        tm_buffer_append_format(out, "{\"oldest\":%lld,\"newest\":%lld}", (long long)e->outbox.oldest,
                                (long long)e->outbox.newest);
    else
        tm_buffer_append_text(out, "null");
    tm_buffer_append_text(out, ",\"log\":{");
    static const char *const inputs[TM_INPUTS] = {"usage", "accounts"};
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_buffer_append_format(out, "%s\"%s\":", i ? "," : "", inputs[i]);
        if (e->end[i] < 0)
            tm_buffer_append_text(out, "null");
        else
            tm_buffer_append_format(out, "{\"first\":%lld,\"end\":%lld}", (long long)e->first[i], (long long)e->end[i]);
    }
    tm_buffer_append_format(out, "},\"code\":");
    bool halted = look->verdict.row == TM_ROW_HALT;
    tm_buffer_append_json_string(out, halted ? tm_slice_of(tm_halt_code(look->verdict.halt)) : (tm_slice){0});
    tm_buffer_append_text(out, ",\"means\":");
    tm_buffer_append_json_string(out, tm_slice_of(halted ? look->verdict.why.what : tm_row_means(look->verdict.row)));
    tm_buffer_append_text(out, ",\"do\":");
    tm_buffer_append_json_string(out, halted ? tm_slice_of(look->verdict.why.hint) : (tm_slice){0});
    tm_buffer_append_char(out, '}');
}

static void add_row(examination *x, const tm_shard_look *look)
{
    const tm_evidence *e = &look->evidence;
    char state[72], offsets[72], outbox[64] = "-", log[96] = "";
    bool halted = look->verdict.row == TM_ROW_HALT;
    tm_shards_position(e->stored, state);
    tm_shards_position(e->committed, offsets);
    if (e->outbox.oldest)
        snprintf(outbox, sizeof outbox, "%lld-%lld", (long long)e->outbox.oldest, (long long)e->outbox.newest);
    for (int i = 0; i < TM_INPUTS; i++) {
        size_t used = strlen(log);
        if (e->end[i] >= 0)
            snprintf(log + used, sizeof log - used, "%s%lld-%lld", used ? " " : "", (long long)e->first[i],
                     (long long)e->end[i]);
    }
    tm_buffer_append_format(&x->shards, "%5d  %-21s %-18s %-18s %-9s %s\n", (int)look->partition,
                            halted ? tm_halt_code(look->verdict.halt) : tm_row_name(look->verdict.row), state, offsets,
                            outbox, log);
    if (halted)
        tm_buffer_append_format(&x->notes, "\nshard %d: %s\n  %s\n", (int)look->partition, look->verdict.why.what,
                                look->verdict.why.hint);
    else if (look->verdict.row != TM_ROW_CLEAN)
        tm_buffer_append_format(&x->notes, "\nshard %d: %s\n", (int)look->partition, tm_row_means(look->verdict.row));
    if (look->expired)
        tm_buffer_append_format(&x->notes,
                                "\nshard %d: the group forgot its offsets; shown is where the journal ends\n",
                                (int)look->partition);
}

static void add_unknown(examination *x, int32_t partition, const tm_error *error)
{
    x->unknown++;
    if (x->json) {
        tm_buffer_append_format(&x->shards, "%s{\"shard\":%d,\"row\":null,\"means\":", x->count ? "," : "",
                                (int)partition);
        tm_buffer_append_json_string(&x->shards, tm_slice_of(error->what));
        tm_buffer_append_char(&x->shards, '}');
        return;
    }
    tm_buffer_append_format(&x->shards, "%5d  not known\n", (int)partition);
    tm_buffer_append_format(&x->notes, "\nshard %d: %s\n", (int)partition, error->what);
}

static void look_at_all(examination *x, tm_shards *shards)
{
    /* As many as there are, or were when the state was written. */
    uint32_t partitions = shards->partitions;
    for (uint32_t p = 0; p < partitions; p++) {
        tm_shard_look look;
        tm_error error;
        tm_error_clear(&error);
        tm_status status = tm_shards_look(shards, (int32_t)p, &look, &error);
        if (status != TM_OK) {
            add_unknown(x, (int32_t)p, &error);
        } else {
            if (x->json)
                add_json(x, &look);
            else
                add_row(x, &look);
            x->halted += look.verdict.row == TM_ROW_HALT;
        }
        x->count++;
    }
}

/* False without memory: then nothing was printed. */
static bool show_json(const examination *x, const tm_shards *shards, int code)
{
    tm_buffer out;
    tm_buffer_init(&out, 64 << 20);
    tm_buffer_append_format(&out, "{\"good\":%s,\"group\":", code == EX_OK ? "true" : "false");
    tm_buffer_append_json_string(&out, tm_slice_of(shards->setup->configuration->group));
    tm_buffer_append_text(&out, ",\"members\":[");
    for (uint32_t i = 0; i < shards->member_count && i < TM_SHARDS_MEMBERS; i++) {
        tm_buffer_append_text(&out, i ? ",{\"id\":" : "{\"id\":");
        tm_buffer_append_json_string(&out, tm_slice_of(shards->members[i].id));
        tm_buffer_append_text(&out, ",\"host\":");
        tm_buffer_append_json_string(&out, tm_slice_of(shards->members[i].host));
        tm_buffer_append_char(&out, '}');
    }
    tm_buffer_append_text(&out, "],\"shards\":[");
    tm_buffer_append_slice(&out, tm_buffer_slice(&x->shards));
    tm_buffer_append_text(&out, "],\"findings\":[");
    tm_buffer_append_slice(&out, tm_buffer_slice(&x->findings));
    tm_buffer_append_text(&out, "]}");
    (void)tm_buffer_text(&out); /* takes a byte, too */
    bool complete = !out.overflowed;
    if (complete)
        puts(tm_buffer_text(&out));
    tm_buffer_done(&out);
    return complete;
}

static void show_people(const examination *x, const tm_shards *shards)
{
    printf("group '%s', %u members", shards->setup->configuration->group, (unsigned)shards->member_count);
    for (uint32_t i = 0; i < shards->member_count && i < TM_SHARDS_MEMBERS; i++)
        printf("%s %s", i ? "," : ":", shards->members[i].id);
    if (x->count)
        printf("\n\n%5s  %-21s %-18s %-18s %-9s %s\n", "shard", "row", "state R", "offsets C", "outbox", "log");
    printf("%.*s%.*s", (int)x->shards.length, x->shards.data ? x->shards.data : "", (int)x->notes.length,
           x->notes.data ? x->notes.data : "");
    if (x->findings.length)
        printf("\n%.*s", (int)x->findings.length, x->findings.data);
    if (x->halted)
        printf("\n%u of %u shards need a decision\n", (unsigned)x->halted, (unsigned)x->count);
    else if (x->unknown)
        printf("\n%u of %u shards could not be looked at\n", (unsigned)x->unknown, (unsigned)x->count);
    else
        printf("\nno shard needs a decision\n");
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.configuration = "tidemark.yaml"};
    examination x = {0};
    const tm_option table[] = {
        {"config", "FILE", "configuration (default tidemark.yaml)", TM_OPTION_TEXT, &options.configuration},
        {"rules", "FILE", "rules file instead of the configuration's", TM_OPTION_TEXT, &options.rules},
        {"json", NULL, "one JSON object", TM_OPTION_FLAG, &x.json},
    };
    int code;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &code))
        return code;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "unexpected argument '%s'", argv[1]);
    tm_setup setup;
    code = tm_setup_load(command, &options, &setup);
    if (code)
        return code;
    tm_buffer_init(&x.findings, 16 << 20);
    tm_buffer_init(&x.shards, 16 << 20);
    tm_buffer_init(&x.notes, 16 << 20);
    code = tm_check_look(command, &setup, x.json, &x.findings);
    tm_shards shards;
    tm_error error;
    tm_status status = tm_shards_open(&setup, &shards, &error);
    if (status == TM_OK) {
        look_at_all(&x, &shards);
        code = x.unknown ? EX_UNAVAILABLE : x.halted ? EX_CONFIG : code;
    } else {
        int opened = tm_cli_fail(command, status, &error);
        code = code ? code : status == TM_RETRY ? EX_UNAVAILABLE : status == TM_REJECT ? EX_CONFIG : opened;
    }
    bool complete = !x.findings.overflowed && !x.shards.overflowed && !x.notes.overflowed;
    if (complete && x.json)
        complete = show_json(&x, &shards, code);
    else if (complete)
        show_people(&x, &shards);
    if (!complete)
        code = tm_cli_say(command, EX_OSERR, "out of memory");
    tm_shards_close(&shards);
    tm_buffer_done(&x.findings);
    tm_buffer_done(&x.shards);
    tm_buffer_done(&x.notes);
    tm_setup_done(&setup);
    return code;
}

const tm_command tm_command_doctor = {
    .name = "doctor",
    .summary = "where every shard stands, why one is halted, and which command decides",
    .arguments = "",
    .text =
        "Reads both ledgers and the log, claims nothing and writes nothing: for each shard the position of the state "
        "in\n"
        "Redis (R), the group's offsets (C), what waits in the outbox and where the log begins and ends, and the row "
        "of\n"
        "the take-over table that these make. Positions read usage/accounts:n. Problems that `check` would find are\n"
        "shown too. While processes run, R and C move between one look and the next: 'unpublished' is normal then.\n\n"
        "Exit status: 0 every shard goes on by itself, 69 something does not answer, 78 a shard needs a decision, or "
        "a\n"
        "topic, Redis or a file is not as it has to be.",
    .run = run,
};

/* Prints what the encoders write, of every kind, a line each: record_samples signal|health-record|dead-letter|journal.
   The records are held to their schemas by validate.sh, and are the examples of docs/records.md. */
#include <stdio.h>
#include <string.h>

#include "support/journal_fixture.h"
#include "support/signal_fixture.h"
#include "tidemark/codec/deadletter.h"
#include "tidemark/codec/healthrecord.h"

#define S(text) TM_SLICE_LITERAL(text)

static tm_buffer out;

static void end_line(void)
{
    tm_slice line = tm_buffer_slice(&out);
    if (line.data != NULL)
        fwrite(line.data, 1, line.length, stdout);
    fputc('\n', stdout);
    tm_buffer_reset(&out);
}

static void print_signal(const signal_fixture *f)
{
    tm_signal_encode(&f->signal, &f->origin, &out);
    end_line();
}

/* raised → updated → cleared, as a subscriber sees an episode. */
static void print_episode(signal_fixture *f)
{
    print_signal(f);
    f->signal.state = TM_SIGNAL_UPDATED;
    f->signal.severity = TM_SEVERITY_CRITICAL;
    f->signal.sequence = 2;
    f->signal.time += TM_DAY;
    f->signal.value = f->signal.summary[0] = f->signal.evidence[0] = tm_value_number(0.26);
    f->signal.evidence[1] = tm_value_number(52);
    print_signal(f);
    f->signal.state = TM_SIGNAL_CLEARED;
    f->signal.reason = TM_REASON_CONDITION;
    f->signal.sequence = 3;
    f->signal.time += 9 * TM_DAY;
    f->signal.value = f->signal.summary[0] = f->signal.evidence[0] = tm_value_number(0.86);
    f->signal.evidence[1] = tm_value_number(172);
    print_signal(f);
}

static void print_endings(signal_fixture *f)
{
    for (int reason = TM_REASON_CONDITION; reason <= TM_REASON_REVISED; reason++) {
        f->signal.reason = (tm_reason)reason;
        f->signal.rule = reason == TM_REASON_RULE_REMOVED ? NULL : &f->rule;
        f->signal.facts = reason == TM_REASON_ERASED ? NULL : f->facts;
        bool silent = reason == TM_REASON_RULE_REMOVED || reason == TM_REASON_ERASED; /* nothing was evaluated */
        f->signal.value = silent ? tm_value_null() : tm_value_number(0.86);
        f->signal.threshold = silent ? tm_value_null() : tm_value_number(0.5);
        f->signal.clear_threshold = silent ? tm_value_null() : tm_value_number(0.8);
        print_signal(f);
    }
    f->signal.rule = &f->rule;
    f->signal.facts = f->facts;
    f->signal.state = TM_SIGNAL_UPDATED;
    f->signal.acknowledged_at = f->signal.time - TM_HOUR;
    print_signal(f); /* revised */
    f->signal.acknowledged_by = TM_SLICE_LITERAL("ann");
    print_signal(f);
    f->signal.acknowledged_at = TM_TIME_NONE;
    f->signal.state = TM_SIGNAL_RAISED;
    f->signal.reason = TM_REASON_FLAPPING;
    f->signal.sequence = 1;
    f->signal.raised_at = f->signal.time;
    print_signal(f);
    f->signal.reason = TM_REASON_NONE;
}

static void print_edges(signal_fixture *f)
{
    static char account[TM_ACCOUNT_ID_MAX];
    static char expression[TM_EXPRESSION_MAX];
    static char summary[3 * TM_SUMMARY_MAX];
    static uint32_t evidence[TM_EVIDENCE_MAX];
    f->account.input = TM_INPUT_ACCOUNTS;
    f->account.input_offset = INT64_C(9007199254740991);
    f->signal.facts = NULL;
    f->signal.tier = (tm_slice){NULL, 0};
    print_signal(f); /* never had a record */
    f->account.input_offset = -1;
    f->signal.value = tm_value_duration(259200000);
    f->signal.threshold = tm_value_null();
    f->signal.clear_threshold = tm_value_boolean(true);
    f->signal.evidence[1] = tm_value_string(S("\"\\\x01 ü 😀"));
    f->signal.evidence[2].approximate = true;
    f->route.queue = f->route.responsible = f->route.informed = (tm_slice){NULL, 0};
    f->play = (tm_by_tier){0};
    f->rule.summary_count = 0;
    print_signal(f);
    f->account.key = S("a/b \"c\" ü\n");
    f->origin.group = S("group with blanks/ü");
    print_signal(f);
    memset(account, 'a', sizeof(account));
    memset(expression, '\\', sizeof(expression));
    for (size_t i = 0; i < sizeof(summary); i += 2)
        summary[i] = '\xC3', summary[i + 1] = '\xBC'; /* ü */
    f->account.key = (tm_slice){account, sizeof(account)};
    f->nodes[0].text = (tm_slice){expression, sizeof(expression)};
    f->rule.evidence = evidence;
    f->rule.evidence_count = TM_EVIDENCE_MAX;
    f->summary[0] = (tm_summary_part){{summary, sizeof(summary)}, TM_NODE_NONE, TM_FORMAT_PLAIN};
    f->rule.summary_count = 1;
    f->signal.raised_at = f->signal.time = TM_TIME_MAX;
    print_signal(f);
    f->origin = (tm_signal_origin){0};
    print_signal(f);
}

static void print_signals(void)
{
    signal_fixture f;
    signal_fixture_init(&f);
    print_episode(&f);
    print_endings(&f);
    print_edges(&f);
    signal_fixture_done(&f);
    for (int kind = 0; kind < TM_KINDS; kind++)
        for (int severity = 0; severity < TM_SEVERITIES; severity++) {
            signal_fixture_init(&f);
            f.signal.kind = (tm_kind)kind;
            f.signal.severity = (tm_severity)severity;
            print_episode(&f);
            signal_fixture_done(&f);
        }
}

static void print_health(void)
{
    static const tm_factor factors[] = {{.name = TM_SLICE_LITERAL("usage_trend")},
                                        {.name = TM_SLICE_LITERAL("seat_activation")},
                                        {.name = TM_SLICE_LITERAL("nps")}};
    static const tm_card card = {.name = TM_SLICE_LITERAL("adoption"), .version = 2};
    tm_health health = {.card = &card,
                        .score = tm_value_number(68),
                        .coverage = 0.9,
                        .band = TM_BAND_YELLOW,
                        .change_week = tm_value_number(-4.5),
                        .factor_count = 3,
                        .factors = {{&factors[0], tm_value_number(0.44), tm_value_number(20), 40, 8},
                                    {&factors[1], tm_value_number(0.7), tm_value_number(100), 60, 60},
                                    {&factors[2], tm_value_null(), tm_value_null(), 0, 0}}};
    tm_health_record record = {.account = S("acme"),
                               .at = INT64_C(1714660680000),
                               .stage = S("adoption"),
                               .health = &health,
                               .rules_version = 7};
    tm_health_record_encode(&record, &out);
    end_line();
    for (tm_band band = TM_BAND_NONE; band < TM_BANDS; band++) {
        health.band = band;
        health.factors[0].value = band ? tm_value_duration(TM_DAY) : tm_value_boolean(true);
        record.stage = band ? S("a \"stage\" ü") : (tm_slice){NULL, 0};
        tm_health_record_encode(&record, &out);
        end_line();
    }
    health = (tm_health){0};
    tm_health_record_encode(&record, &out);
    end_line();
}

static void print_dead_letters(void)
{
    static char bytes[1 << 16];
    tm_dead_letter letter = {.reason = TM_DEAD_MISSING_FIELD,
                             .detail = S("account: not there"),
                             .topic = S("usage"),
                             .partition = 3,
                             .offset = 81234,
                             .timestamp = INT64_C(1714660641500),
                             .key = S("acme"),
                             .value = S("{\"id\":\"e-1\",\"event\":\"login\",\"at\":1714660641500}")};
    tm_dead_letter_encode(&letter, 1 << 20, &out);
    end_line();
    for (int reason = TM_DEAD_NONE + 1; reason < TM_DEAD_REASONS; reason++) {
        letter.reason = (tm_dead_reason)reason;
        tm_dead_letter_encode(&letter, 1 << 20, &out);
        end_line();
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 256);
    letter.timestamp = TM_TIME_NONE;
    for (size_t length = 0; length <= sizeof(bytes); length += length < 5 ? 1 : 4367) {
        letter.value = (tm_slice){bytes, length};
        letter.key = (tm_slice){bytes + 128, length / 2}; /* no UTF-8 as soon as there is any */
        tm_dead_letter_encode(&letter, 1 << 14, &out);
        end_line();
    }
    memset(bytes, '\n', sizeof(bytes));
    letter.key = letter.detail = (tm_slice){bytes, sizeof(bytes)};
    tm_dead_letter_encode(&letter, 0, &out);
    end_line();
    letter.key = letter.value = (tm_slice){NULL, 0};
    tm_dead_letter_encode(&letter, 0, &out);
    end_line();
}

static void print_journal(void)
{
    tm_journal_commit commit = journal_commit();
    tm_journal_configuration configuration = journal_configuration();
    tm_journal_encode_commit(&commit, &out);
    end_line();
    tm_journal_encode_configuration(&configuration, &out);
    end_line();
    commit.signal_count = commit.erasure_count = commit.skip_count = 0;
    commit.clock_begin = commit.clock_end = commit.t_before = commit.t_after = TM_TIME_NONE;
    commit.drained = commit.judged = false;
    commit.from[0] = commit.from[1] = commit.to[0] = commit.to[1] = 0;
    tm_journal_encode_commit(&commit, &out);
    end_line();
    configuration.commit = 0;
    configuration.mapping = (tm_slice){NULL, 0};
    configuration.counting_start = TM_TIME_NONE;
    configuration.counting_count = 0;
    tm_journal_encode_configuration(&configuration, &out);
    end_line();
}

int main(int argc, char **argv)
{
    tm_buffer_init(&out, TM_SIGNAL_BYTES_MAX);
    if (argc == 2 && strcmp(argv[1], "signal") == 0)
        print_signals();
    else if (argc == 2 && strcmp(argv[1], "health-record") == 0)
        print_health();
    else if (argc == 2 && strcmp(argv[1], "dead-letter") == 0)
        print_dead_letters();
    else if (argc == 2 && strcmp(argv[1], "journal") == 0)
        print_journal();
    else
        return 64;
    tm_buffer_done(&out);
    return ferror(stdout) || fflush(stdout) != 0 ? 74 : 0;
}

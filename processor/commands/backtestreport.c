#include "tidemark/commands/backtestreport.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/page.h"

enum { UNSEEN_SHOWN = 10 };

/* The groups shown beside single rules. */
static const struct {
    const char *name;
    tm_kind kind;
    tm_severity severity;
} groups[] = {
    {"all churn_risk", TM_KIND_CHURN_RISK, TM_SEVERITY_INFO},
    {"churn_risk, high and critical", TM_KIND_CHURN_RISK, TM_SEVERITY_HIGH},
    {"all expansion", TM_KIND_EXPANSION, TM_SEVERITY_INFO},
};
enum { GROUPS = sizeof groups / sizeof groups[0] };

static int by_name(const void *a, const void *b, void *context)
{
    const tm_backtest *backtest = context;
    const uint32_t *x = a;
    const uint32_t *y = b;
    tm_kind p = tm_backtest_rule_kind(backtest, *x);
    tm_kind q = tm_backtest_rule_kind(backtest, *y);
    return p != q ? (p < q ? -1 : 1)
                  : tm_slice_compare(tm_backtest_rule_name(backtest, *x), tm_backtest_rule_name(backtest, *y));
}

/* The rules that raised anything, by kind and name. NULL without memory. */
static uint32_t *rules_in_order(tm_backtest *backtest)
{
    uint32_t count = tm_backtest_rule_count(backtest);
    uint32_t *rules = calloc((size_t)count + 1, sizeof *rules);
    for (uint32_t i = 0; rules && i < count; i++)
        rules[i] = i;
    if (rules && count)
        qsort_r(rules, count, sizeof *rules, by_name, backtest);
    return rules;
}

/* --- for programs --- */

static void put_estimate(tm_buffer *out, const char *name, tm_estimate e, double unit)
{
    tm_buffer_append_format(out, "\"%s\":{\"value\":", name);
    tm_buffer_append_json_number(out, e.value / unit);
    tm_buffer_append_text(out, ",\"low\":");
    tm_buffer_append_json_number(out, e.low / unit);
    tm_buffer_append_text(out, ",\"high\":");
    tm_buffer_append_json_number(out, e.high / unit);
    tm_buffer_append_format(out, ",\"of\":%" PRIu64 "}", e.of);
}

static void put_number(tm_buffer *out, const char *name, double number)
{
    tm_buffer_append_format(out, "\"%s\":", name);
    tm_buffer_append_json_number(out, number);
}

static void put_figures(tm_buffer *out, const tm_backtest_figures *f)
{
    tm_buffer_append_format(out,
                            "\"raised\":%" PRIu64 ",\"accounts\":%" PRIu64 ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64
                            ",\"undecided\":%" PRIu64 ",",
                            f->alarms, f->accounts, f->hits, f->misses, f->undecided);
    put_estimate(out, "precision", f->precision, 1);
    tm_buffer_append_char(out, ',');
    put_number(out, "chance", f->chance);
    tm_buffer_append_char(out, ',');
    put_estimate(out, "recall", f->recall, 1);
    tm_buffer_append_char(out, ',');
    put_estimate(out, "lead_days", f->lead, (double)TM_DAY);
    tm_buffer_append_char(out, ',');
    put_number(out, "false_per_account_month", f->false_per_month);
}

static tm_status put_rules(tm_buffer *out, const tm_report_part *part)
{
    uint32_t *rules = rules_in_order(part->backtest);
    tm_status status = rules ? TM_OK : TM_FATAL;
    tm_buffer_append_text(out, "\"rules\":[");
    for (uint32_t i = 0; status == TM_OK && i < tm_backtest_rule_count(part->backtest); i++) {
        tm_backtest_figures f;
        status = tm_backtest_figures_of(part->backtest, &(tm_backtest_choice){.rule = rules[i]}, &f);
        tm_buffer_append_text(out, i ? ",{\"rule\":" : "{\"rule\":");
        tm_buffer_append_json_string(out, tm_backtest_rule_name(part->backtest, rules[i]));
        tm_buffer_append_format(out, ",\"kind\":\"%s\",",
                                tm_kind_name(tm_backtest_rule_kind(part->backtest, rules[i])));
        put_figures(out, &f);
        tm_buffer_append_char(out, '}');
    }
    free(rules);
    tm_buffer_append_text(out, "],\"groups\":[");
    for (size_t i = 0; status == TM_OK && i < GROUPS; i++) {
        tm_backtest_figures f;
        tm_backtest_choice choice = {UINT32_MAX, groups[i].kind, groups[i].severity};
        status = tm_backtest_figures_of(part->backtest, &choice, &f);
        tm_buffer_append_format(out, "%s{\"kind\":\"%s\",\"severity_from\":\"%s\",", i ? "," : "",
                                tm_kind_name(groups[i].kind), tm_severity_name(groups[i].severity));
        put_figures(out, &f);
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_text(out, "],");
    return status;
}

static void put_unseen(tm_buffer *out, const tm_backtest *backtest)
{
    tm_buffer_append_text(out, "\"unseen\":[");
    bool any = false;
    for (size_t i = 0; i < tm_backtest_outcome_count(backtest, TM_ENDING_CHURNED); i++) {
        tm_backtest_outcome o = tm_backtest_outcome_at(backtest, TM_ENDING_CHURNED, i);
        if (!o.counts || o.first_rule != UINT32_MAX)
            continue;
        char at[TM_TIME_TEXT];
        tm_time_format(o.t, at);
        tm_buffer_append_text(out, any ? ",{\"account\":" : "{\"account\":");
        tm_buffer_append_json_string(out, o.account);
        tm_buffer_append_format(out, ",\"at\":\"%s\",\"reason\":", at);
        tm_buffer_append_json_string(out, o.reason);
        tm_buffer_append_char(out, ',');
        put_number(out, "mrr", o.mrr);
        tm_buffer_append_char(out, '}');
        any = true;
    }
    tm_buffer_append_text(out, "]");
}

static tm_status put_plays(tm_buffer *out, const tm_plays *plays)
{
    tm_status status = TM_OK;
    tm_buffer_append_text(out, "\"plays\":[");
    for (uint32_t i = 0; status == TM_OK && i < tm_plays_count(plays); i++) {
        tm_play_figures f;
        status = tm_plays_figures_of(plays, i, &f);
        tm_buffer_append_text(out, i ? ",{\"play\":" : "{\"play\":");
        tm_buffer_append_json_string(out, tm_plays_name(plays, i));
        tm_buffer_append_format(
            out, ",\"started\":%" PRIu64 ",\"done\":%" PRIu64 ",\"with\":%" PRIu64 ",\"without\":%" PRIu64 ",",
            f.started, f.done, f.with, f.without);
        put_number(out, "went_on_with", f.went_on);
        tm_buffer_append_char(out, ',');
        put_number(out, "went_on_without", f.went_on_else);
        tm_buffer_append_char(out, ',');
        put_estimate(out, "association", f.difference, 1);
        tm_buffer_append_char(out, ',');
        put_estimate(out, "use_ratio", f.use, 1);
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_text(out, "],");
    return status;
}

static tm_status put_part(tm_buffer *out, const tm_report_options *options, const tm_report_part *part)
{
    tm_backtest_load load;
    tm_ranking ranking;
    uint64_t without;
    tm_status status = tm_backtest_load_of(part->backtest, &load);
    if (status == TM_OK)
        status = tm_backtest_ranking_of(part->backtest, &ranking, &without);
    if (status != TM_OK)
        return status;
    tm_buffer_append_format(out,
                            "{\"rules_version\":%" PRId64 ",\"accounts\":%" PRIu32 ",\"outcomes\":{\"taken\":%" PRIu64
                            ",\"unknown_accounts\":%" PRIu64 ",\"other_words\":%" PRIu64,
                            part->rules->version, tm_backtest_account_count(part->backtest), part->read.taken,
                            part->read.strange, part->read.other);
    for (int e = 0; e < TM_ENDINGS; e++)
        tm_buffer_append_format(out, ",\"%s\":%zu", tm_ending_name((tm_ending)e),
                                tm_backtest_outcome_count(part->backtest, (tm_ending)e));
    tm_buffer_append_text(out, "},");
    status = put_rules(out, part);
    tm_buffer_append_text(out, "\"per_owner_week\":{");
    put_number(out, "mean", load.mean);
    tm_buffer_append_char(out, ',');
    put_number(out, "median", load.median);
    tm_buffer_append_char(out, ',');
    put_number(out, "p95", load.often);
    tm_buffer_append_char(out, ',');
    put_number(out, "most", load.most);
    tm_buffer_append_format(out, ",\"owners\":%" PRIu32 ",\"weeks\":%" PRIu32 "},\"ranking\":", load.owners,
                            load.weeks);
    if (options->score.data) {
        tm_buffer_append_text(out, "{\"score\":");
        tm_buffer_append_json_string(out, options->score);
        tm_buffer_append_char(out, ',');
        put_estimate(out, "auc", ranking.area, 1);
        tm_buffer_append_char(out, ',');
        put_estimate(out, "lowest_tenth_lift", ranking.lift, 1);
        tm_buffer_append_format(out, ",\"came\":%" PRIu64 ",\"without_score\":%" PRIu64 ",\"resamples\":%" PRIu32 "},",
                                ranking.came, without, ranking.resamples);
    } else {
        tm_buffer_append_text(out, "null,");
    }
    if (status == TM_OK)
        status = put_plays(out, part->plays);
    put_unseen(out, part->backtest);
    tm_buffer_append_char(out, '}');
    return status;
}

static tm_status put_all(tm_buffer *out, const tm_report_options *options, const tm_report_part *parts, uint32_t count)
{
    char within[TM_TIME_TEXT];
    char loss[TM_TIME_TEXT];
    char tenure[TM_TIME_TEXT];
    tm_duration_format(options->settings.within, within);
    tm_duration_format(options->settings.loss, loss);
    tm_duration_format(options->settings.tenure, tenure);
    tm_buffer_append_format(out, "{\"within\":\"%s\",\"loss\":\"%s\",\"tenure\":\"%s\",\"packs\":[", within, loss,
                            tenure);
    tm_status status = TM_OK;
    for (uint32_t i = 0; status == TM_OK && i < count; i++) {
        if (i)
            tm_buffer_append_char(out, ',');
        status = put_part(out, options, &parts[i]);
    }
    tm_buffer_append_text(out, "]}\n");
    return status;
}

/* --- for people --- */

/* "0.12 (0.08-0.17)", or "-". `text` holds 64 bytes. */
static void show_estimate(tm_estimate e, double unit, const char *form, char text[static 64])
{
    char number[3][16];
    const double values[3] = {e.value / unit, e.low / unit, e.high / unit};
    for (int i = 0; i < 3; i++)
        (void)snprintf(number[i], sizeof number[i], strcmp(form, "days") == 0 ? "%.1f" : "%.3f", values[i]);
    if (isnan(e.value))
        (void)snprintf(text, 64, "-");
    else if (isnan(e.low))
        (void)snprintf(text, 64, "%s", number[0]);
    else
        (void)snprintf(text, 64, "%s (%s-%s)", number[0], number[1], number[2]);
}

static void print_row(const char *name, const tm_backtest_figures *f)
{
    char precision[64];
    char recall[64];
    char lead[64];
    char chance[16];
    char often[16];
    show_estimate(f->precision, 1, "share", precision);
    show_estimate(f->recall, 1, "share", recall);
    show_estimate(f->lead, (double)TM_DAY, "days", lead);
    (void)snprintf(chance, sizeof chance, isnan(f->chance) ? "-" : "%.3f", f->chance);
    (void)snprintf(often, sizeof often, isnan(f->false_per_month) ? "-" : "%.3f", f->false_per_month);
    printf("  %-30s %8" PRIu64 " %9" PRIu64 "  %-20s  %6s  %-20s  %-18s %8s\n", name, f->alarms, f->undecided,
           precision, chance, recall, lead, often);
}

static tm_status print_rules(const tm_report_part *part)
{
    uint32_t *rules = rules_in_order(part->backtest);
    tm_status status = rules ? TM_OK : TM_FATAL;
    printf("\n  %-30s %8s %9s  %-20s  %6s  %-20s  %-18s %8s\n", "rule", "raised", "undecided", "precision", "chance",
           "recall", "lead, days", "false/mo");
    for (uint32_t i = 0; status == TM_OK && i < tm_backtest_rule_count(part->backtest); i++) {
        tm_backtest_figures f;
        char name[TM_NAME_MAX + 1];
        tm_slice text = tm_backtest_rule_name(part->backtest, rules[i]);
        (void)snprintf(name, sizeof name, "%.*s", (int)text.length, text.data);
        status = tm_backtest_figures_of(part->backtest, &(tm_backtest_choice){.rule = rules[i]}, &f);
        if (status == TM_OK)
            print_row(name, &f);
    }
    free(rules);
    for (size_t i = 0; status == TM_OK && i < GROUPS; i++) {
        tm_backtest_figures f;
        tm_backtest_choice choice = {UINT32_MAX, groups[i].kind, groups[i].severity};
        status = tm_backtest_figures_of(part->backtest, &choice, &f);
        if (status == TM_OK)
            print_row(groups[i].name, &f);
    }
    return status;
}

static tm_status print_plays(const tm_plays *plays)
{
    tm_status status = TM_OK;
    if (tm_plays_count(plays))
        printf("\nAssociation of plays with going on, among accounts alike (no proof that the play did it):\n"
               "  %-30s %8s %8s  %-8s %-8s %-26s %-22s\n",
               "play", "started", "compared", "with", "without", "difference", "use, ratio");
    for (uint32_t i = 0; status == TM_OK && i < tm_plays_count(plays); i++) {
        tm_play_figures f;
        status = tm_plays_figures_of(plays, i, &f);
        if (status != TM_OK)
            break;
        char difference[64];
        char use[64];
        char shares[2][16];
        show_estimate(f.difference, 1, "share", difference);
        show_estimate(f.use, 1, "share", use);
        (void)snprintf(shares[0], sizeof shares[0], isnan(f.went_on) ? "-" : "%.3f", f.went_on);
        (void)snprintf(shares[1], sizeof shares[1], isnan(f.went_on_else) ? "-" : "%.3f", f.went_on_else);
        tm_slice name = tm_plays_name(plays, i);
        printf("  %-30.*s %8" PRIu64 " %8" PRIu64 "  %-8s %-8s %-26s %-22s\n", (int)name.length, name.data, f.started,
               f.with, shares[0], shares[1], difference, use);
    }
    return status;
}

static void print_unseen(const tm_backtest *backtest)
{
    size_t unseen = 0;
    size_t all = 0;
    for (size_t i = 0; i < tm_backtest_outcome_count(backtest, TM_ENDING_CHURNED); i++) {
        tm_backtest_outcome o = tm_backtest_outcome_at(backtest, TM_ENDING_CHURNED, i);
        all += o.counts;
        if (!o.counts || o.first_rule != UINT32_MAX)
            continue;
        char day[TM_TIME_TEXT];
        tm_time_format(o.t, day);
        if (unseen == 0)
            printf("\nLosses that no rule saw:\n");
        if (unseen++ < UNSEEN_SHOWN)
            printf("  %.*s  %.10s  %.*s\n", (int)o.account.length, o.account.data, day, (int)o.reason.length,
                   o.reason.data ? o.reason.data : "");
    }
    if (unseen > UNSEEN_SHOWN)
        printf("  and %zu more (--json has them all)\n", unseen - UNSEEN_SHOWN);
    printf("\n%zu of %zu losses were seen by some rule.\n", all - unseen, all);
}

static tm_status print_part(const tm_report_options *options, const tm_report_part *part, bool second)
{
    tm_backtest_load load;
    tm_ranking ranking;
    uint64_t without;
    printf("%sRules of version %" PRId64 ": %" PRIu32 " accounts, %" PRIu64 " outcomes", second ? "\nAgainst: " : "",
           part->rules->version, tm_backtest_account_count(part->backtest), part->read.taken);
    if (part->read.strange || part->read.other)
        printf(" (and %" PRIu64 " of accounts that are not in the data, %" PRIu64 " of other words)",
               part->read.strange, part->read.other);
    putchar('\n');
    tm_status status = print_rules(part);
    if (status == TM_OK)
        status = tm_backtest_load_of(part->backtest, &load);
    if (status == TM_OK && !isnan(load.mean))
        printf("\nSignals per owner and week: %.1f on average, %.1f median, %.0f in the worst twentieth, %.0f at most "
               "(%" PRIu32 " owners, %" PRIu32 " weeks).\n",
               load.mean, load.median, load.often, load.most, load.owners, load.weeks);
    if (status == TM_OK && options->score.data) {
        char area[64];
        char lift[64];
        status = tm_backtest_ranking_of(part->backtest, &ranking, &without);
        if (status != TM_OK)
            return status;
        show_estimate(ranking.area, 1, "share", area);
        show_estimate(ranking.lift, 1, "share", lift);
        printf("\nRanking by %.*s: AUC %s, lift of the lowest tenth %s; %" PRIu64 " weekly cases, %" PRIu64
               " came true, %" PRIu64 " without a score.\n",
               (int)options->score.length, options->score.data, area, lift, ranking.area.of, ranking.came, without);
    }
    if (status == TM_OK)
        status = print_plays(part->plays);
    if (status == TM_OK)
        print_unseen(part->backtest);
    return status;
}

int tm_report_backtest(const tm_command *command, const tm_report_options *options, const tm_report_part *parts,
                       uint32_t count)
{
    tm_status status = TM_OK;
    int failed = EX_OK;
    if (options->json || options->page) {
        tm_buffer out;
        tm_buffer_init(&out, SIZE_MAX / 4);
        status = put_all(&out, options, parts, count);
        if (out.overflowed)
            status = TM_FATAL;
        if (status == TM_OK && options->json)
            (void)fwrite(out.data, 1, out.length, stdout);
        if (status == TM_OK && options->page)
            failed = tm_page_write(command, options->page, "processor/pages/backtest.html", tm_buffer_slice(&out));
        tm_buffer_done(&out);
    }
    for (uint32_t i = 0; !options->json && status == TM_OK && i < count; i++)
        status = print_part(options, &parts[i], i > 0);
    if (status != TM_OK)
        return tm_cli_say(command, EX_OSERR, "out of memory");
    if (fflush(stdout) != 0 || ferror(stdout))
        return tm_cli_say(command, EX_IOERR, "standard output cannot be written");
    return failed;
}

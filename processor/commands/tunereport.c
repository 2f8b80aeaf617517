#include "tidemark/commands/tunereport.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "tidemark/rules/packedit.h"

enum { REMARK_MAX = 4096, HEADING_MAX = 8192 };

static const char *const lessons[] = {"learned", "turned", "nothing", "kept"};

uint32_t tm_tune_changed(const tm_tune_findings *findings)
{
    uint32_t changed = 0;
    for (uint32_t c = 0; c < findings->score->card_count; c++)
        changed += findings->cards[c].verdict == TM_VERDICT_CHANGED;
    return changed;
}

static void put_map(tm_buffer *out, const tm_tuning_map *map, bool duration)
{
    for (uint32_t i = 0; i < map->points; i++) {
        tm_buffer_append_text(out, i ? ", [" : "[[");
        if (duration) {
            char text[TM_TIME_TEXT];
            tm_duration_format((int64_t)map->x[i], text);
            tm_buffer_append_text(out, text);
        } else {
            tm_buffer_append_json_number(out, map->x[i]);
        }
        tm_buffer_append_text(out, ", ");
        tm_buffer_append_json_number(out, map->y[i]);
        tm_buffer_append_char(out, ']');
    }
    tm_buffer_append_char(out, ']');
}

/* "0.612 (0.55 to 0.67)". */
static void put_estimate(tm_buffer *out, tm_estimate e)
{
    if (isnan(e.value))
        tm_buffer_append_text(out, "-");
    else
        tm_buffer_append_format(out, "%.3f (%.3f to %.3f)", e.value, e.low, e.high);
}

static void put_gain(tm_buffer *out, const tm_gain *gain)
{
    tm_buffer_append_text(out, "AUC ");
    put_estimate(out, gain->before);
    tm_buffer_append_text(out, " before, ");
    put_estimate(out, gain->after);
    tm_buffer_append_text(out, " after, gain ");
    put_estimate(out, gain->gain);
}

/* Whether the tuned score is clearly better where nothing was learned. */
static bool is_shown(const tm_tune_findings *f)
{
    return f->held_out.gain.low > 0;
}

/* --- the rules file --- */

static void put_evidence(tm_buffer *out, const tm_tune_findings *f, const tm_tuned_factor *factor)
{
    char horizon[TM_TIME_TEXT];
    tm_duration_format(f->settings.horizon, horizon);
    if (!isnan(factor->low.value) && !isnan(factor->high.value))
        tm_buffer_append_format(out,
                                "lost within %s: %.1f %% of the third with the lowest values, %.1f %% of that with the "
                                "highest",
                                horizon, 100 * factor->low.value, 100 * factor->high.value);
}

static void put_remark(tm_buffer *out, const tm_tune_findings *f, uint32_t card, uint32_t index)
{
    const tm_tuned_factor *tuned = &f->cards[card].factors[index];
    const tm_tuning_factor *was = &f->factors[card][index];
    tm_buffer_append_text(out, "weight was ");
    tm_buffer_append_json_number(out, was->weight);
    switch (tuned->lesson) {
    case TM_LESSON_KEPT:
        tm_buffer_append_text(out, "; the data say nothing of it (no answer, or the same everywhere), map as it was");
        return;
    case TM_LESSON_NOTHING:
        tm_buffer_append_text(out, "; it made no difference, map as it was; ");
        break;
    case TM_LESSON_TURNED:
        tm_buffer_append_text(out, "; TURNED ROUND, was ");
        put_map(out, &was->map, was->duration);
        tm_buffer_append_text(out, "; ");
        break;
    case TM_LESSON_LEARNED:
        tm_buffer_append_text(out, ", map ");
        put_map(out, &was->map, was->duration);
        tm_buffer_append_text(out, "; ");
        break;
    }
    put_evidence(out, f, tuned);
}

static void put_bands(tm_buffer *out, const tm_tune_findings *f, uint32_t card)
{
    tm_buffer_append_format(out, "green from %g, was %g; yellow from %g, was %g: as many stand in each band as before",
                            f->edges[card][0], f->score->cards[card].green / 10.0, f->edges[card][1],
                            f->score->cards[card].yellow / 10.0);
}

static void put_heading(tm_buffer *out, const tm_tune_findings *f)
{
    char cut[TM_TIME_TEXT];
    char until[TM_TIME_TEXT];
    char horizon[TM_TIME_TEXT];
    tm_time_format(f->settings.cut, cut);
    tm_time_format(f->until, until);
    tm_duration_format(f->settings.horizon, horizon);
    tm_buffer_append_format(out, "by `tidemark tune`, from what was known of outcomes until %s:", cut);
    for (uint32_t c = 0; c < f->score->card_count; c++)
        if (f->cards[c].verdict == TM_VERDICT_CHANGED)
            tm_buffer_append_format(out, " %.*s (%" PRIu64 " of the accounts lost, %" PRIu64 " weekly cases)",
                                    (int)f->score->cards[c].name.length, f->score->cards[c].name.data, f->cards[c].lost,
                                    f->cards[c].cases);
    tm_buffer_append_format(out, "\njudged on the time after it, to %s, ranking by %.*s for a loss within %s:\n", until,
                            (int)f->score->name.length, f->score->name.data, horizon);
    put_gain(out, &f->held_out);
    tm_buffer_append_format(
        out, "\n%" PRIu64 " weekly cases, %" PRIu64 " came true; intervals of 95 %%, bootstrap over accounts",
        f->held_out.gain.of, f->held_out.came);
    for (uint32_t c = 0; c < f->score->card_count; c++)
        if (f->cards[c].verdict == TM_VERDICT_CHANGED) {
            tm_buffer_append_format(out, "\nbands of %.*s: ", (int)f->score->cards[c].name.length,
                                    f->score->cards[c].name.data);
            put_bands(out, f, c);
        }
    if (!is_shown(f))
        tm_buffer_append_text(out, "\nNO GAIN IS SHOWN ON THAT TIME: keep the rules you have until more is known");
}

tm_status tm_tune_write(const tm_tune_findings *findings, const char *rules_name, tm_buffer *out, tm_error *error)
{
    uint32_t room = 0;
    uint32_t count = 0;
    for (uint32_t c = 0; c < findings->score->card_count; c++)
        room += findings->score->cards[c].factor_count;
    tm_packedit_factor *edits = calloc((size_t)room + 1, sizeof *edits);
    tm_buffer *remarks = calloc((size_t)room + 1, sizeof *remarks);
    tm_packedit_bands *bands = calloc((size_t)findings->score->card_count + 1, sizeof *bands);
    uint32_t bands_count = 0;
    tm_buffer heading;
    tm_buffer_init(&heading, HEADING_MAX);
    put_heading(&heading, findings);
    tm_status status = TM_OK;
    if (!edits || !remarks || !bands) {
        status = tm_fail(error, TM_FATAL, "out of memory");
        goto out;
    }
    for (uint32_t c = 0; status == TM_OK && c < findings->score->card_count; c++) {
        const tm_card *card = &findings->score->cards[c];
        if (findings->cards[c].verdict == TM_VERDICT_CHANGED)
            bands[bands_count++] = (tm_packedit_bands){card->name, findings->edges[c][0], findings->edges[c][1]};
        for (uint32_t i = 0; findings->cards[c].verdict == TM_VERDICT_CHANGED && i < card->factor_count; i++) {
            const tm_tuned_factor *tuned = &findings->cards[c].factors[i];
            bool drawn = tuned->lesson == TM_LESSON_LEARNED || tuned->lesson == TM_LESSON_TURNED;
            tm_buffer_init(&remarks[count], REMARK_MAX);
            put_remark(&remarks[count], findings, c, i);
            edits[count] = (tm_packedit_factor){.card = card->name,
                                                .name = card->factors[i].name,
                                                .x = drawn ? tuned->map.x : NULL,
                                                .y = tuned->map.y,
                                                .points = tuned->map.points,
                                                .duration = findings->factors[c][i].duration,
                                                .weight = tuned->weight,
                                                .remark = tm_buffer_slice(&remarks[count])};
            count++;
        }
    }
    if (status == TM_OK) {
        tm_packedit edit = {.heading = tm_buffer_slice(&heading),
                            .raise = true,
                            .factors = edits,
                            .factor_count = count,
                            .bands = bands,
                            .bands_count = bands_count};
        status = tm_packedit_apply(findings->pack->text, rules_name, &edit, out, error);
    }
out:
    for (uint32_t i = 0; remarks && i < count; i++)
        tm_buffer_done(&remarks[i]);
    tm_buffer_done(&heading);
    free(bands);
    free(remarks);
    free(edits);
    return status;
}

/* --- for people --- */

static void print_card(tm_buffer *out, const tm_tune_findings *f, uint32_t c)
{
    const tm_card *card = &f->score->cards[c];
    const tm_tuned_card *tuned = &f->cards[c];
    tm_buffer_append_format(out, "\nCard %.*s: %" PRIu64 " weekly cases, %" PRIu64 " accounts lost. ",
                            (int)card->name.length, card->name.data, tuned->cases, tuned->lost);
    switch (tuned->verdict) {
    case TM_VERDICT_NOT_ASKED:
        tm_buffer_append_text(out, "Not asked for, left as it is.\n");
        return;
    case TM_VERDICT_TOO_FEW:
        tm_buffer_append_format(
            out, "Too few: %" PRIu64 " are needed (%d, and %d for each of %" PRIu32 " coefficients). Left as it is.\n",
            tuned->needed, TM_TUNING_LOST_MIN, TM_TUNING_LOST_EACH, tuned->coefficients);
        return;
    case TM_VERDICT_SAME:
        tm_buffer_append_text(out, "No factor differs between them. Left as it is.\n");
        return;
    case TM_VERDICT_NO_GAIN:
    case TM_VERDICT_CHANGED:
        break;
    }
    tm_buffer_append_format(out, "%" PRIu32 " coefficients, penalty %g.\n  Each span foretold from those before: ",
                            tuned->coefficients, tuned->penalty);
    put_gain(out, &tuned->validation);
    tm_buffer_append_char(out, '\n');
    if (tuned->verdict == TM_VERDICT_NO_GAIN) {
        tm_buffer_append_text(out, "  That could be chance. Left as it is.\n");
        return;
    }
    for (uint32_t i = 0; i < card->factor_count; i++) {
        const tm_tuned_factor *factor = &tuned->factors[i];
        tm_buffer_append_format(out, "  %-20.*s %-8s weight %g -> %g  ", (int)card->factors[i].name.length,
                                card->factors[i].name.data, lessons[factor->lesson], f->factors[c][i].weight,
                                factor->weight);
        put_map(out, &factor->map, f->factors[c][i].duration);
        tm_buffer_append_text(out, "  ");
        put_evidence(out, f, factor);
        tm_buffer_append_char(out, '\n');
    }
    tm_buffer_append_text(out, "  bands: ");
    put_bands(out, f, c);
    tm_buffer_append_char(out, '\n');
}

static void print_all(tm_buffer *out, const tm_tune_findings *f)
{
    char cut[TM_TIME_TEXT];
    tm_time_format(f->settings.cut, cut);
    tm_buffer_append_format(out, "Score %.*s, %" PRIu32 " accounts, %" PRIu64 " outcomes; learned until %s.\n",
                            (int)f->score->name.length, f->score->name.data, f->accounts, f->read.taken, cut);
    for (uint32_t c = 0; c < f->score->card_count; c++)
        print_card(out, f, c);
    if (tm_tune_changed(f) == 0)
        return;
    tm_buffer_append_format(out, "\nOn the time after it, %" PRIu64 " weekly cases, %" PRIu64 " came true:\n  ",
                            f->held_out.gain.of, f->held_out.came);
    put_gain(out, &f->held_out);
    tm_buffer_append_text(out, is_shown(f) ? "\n" : "\n  No gain is shown there: keep the rules you have.\n");
}

/* --- for programs --- */

static void put_json_estimate(tm_buffer *out, const char *name, tm_estimate e)
{
    tm_buffer_append_format(out, "\"%s\":{\"value\":", name);
    tm_buffer_append_json_number(out, e.value);
    tm_buffer_append_text(out, ",\"low\":");
    tm_buffer_append_json_number(out, e.low);
    tm_buffer_append_text(out, ",\"high\":");
    tm_buffer_append_json_number(out, e.high);
    tm_buffer_append_format(out, ",\"of\":%" PRIu64 "}", e.of);
}

static void put_json_gain(tm_buffer *out, const char *name, const tm_gain *gain)
{
    tm_buffer_append_format(out, "\"%s\":{", name);
    put_json_estimate(out, "before", gain->before);
    tm_buffer_append_char(out, ',');
    put_json_estimate(out, "after", gain->after);
    tm_buffer_append_char(out, ',');
    put_json_estimate(out, "gain", gain->gain);
    tm_buffer_append_format(out, ",\"came\":%" PRIu64 "}", gain->came);
}

static void put_json_card(tm_buffer *out, const tm_tune_findings *f, uint32_t c)
{
    static const char *const verdicts[] = {"changed", "too_few", "same", "not_asked", "no_gain"};
    const tm_card *card = &f->score->cards[c];
    const tm_tuned_card *tuned = &f->cards[c];
    tm_buffer_append_text(out, "{\"card\":");
    tm_buffer_append_json_string(out, card->name);
    tm_buffer_append_format(out,
                            ",\"verdict\":\"%s\",\"cases\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"needed\":%" PRIu64
                            ",\"coefficients\":%" PRIu32 ",\"penalty\":",
                            verdicts[tuned->verdict], tuned->cases, tuned->lost, tuned->needed, tuned->coefficients);
    tm_buffer_append_json_number(out, tuned->penalty);
    tm_buffer_append_char(out, ',');
    put_json_gain(out, "validation", &tuned->validation);
    tm_buffer_append_text(out, ",\"bands\":{\"green\":");
    tm_buffer_append_json_number(out, f->edges[c][0]);
    tm_buffer_append_text(out, ",\"yellow\":");
    tm_buffer_append_json_number(out, f->edges[c][1]);
    tm_buffer_append_char(out, '}');
    tm_buffer_append_text(out, ",\"factors\":[");
    for (uint32_t i = 0; i < card->factor_count; i++) {
        const tm_tuned_factor *factor = &tuned->factors[i];
        tm_buffer_append_text(out, i ? ",{\"factor\":" : "{\"factor\":");
        tm_buffer_append_json_string(out, card->factors[i].name);
        tm_buffer_append_format(out, ",\"lesson\":\"%s\",\"weight\":", lessons[factor->lesson]);
        tm_buffer_append_json_number(out, factor->weight);
        tm_buffer_append_text(out, ",\"map\":[");
        for (uint32_t k = 0; k < factor->map.points; k++) {
            tm_buffer_append_text(out, k ? ",[" : "[");
            tm_buffer_append_json_number(out, factor->map.x[k]);
            tm_buffer_append_char(out, ',');
            tm_buffer_append_json_number(out, factor->map.y[k]);
            tm_buffer_append_char(out, ']');
        }
        tm_buffer_append_text(out, "],");
        put_json_estimate(out, "lowest_third", factor->low);
        tm_buffer_append_char(out, ',');
        put_json_estimate(out, "highest_third", factor->high);
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_text(out, "]}");
}

static void put_json(tm_buffer *out, const tm_tune_findings *f)
{
    char cut[TM_TIME_TEXT];
    char until[TM_TIME_TEXT];
    char horizon[TM_TIME_TEXT];
    tm_time_format(f->settings.cut, cut);
    tm_time_format(f->until, until);
    tm_duration_format(f->settings.horizon, horizon);
    tm_buffer_append_text(out, "{\"score\":");
    tm_buffer_append_json_string(out, f->score->name);
    tm_buffer_append_format(out,
                            ",\"horizon\":\"%s\",\"learned_until\":\"%s\",\"seen_until\":\"%s\",\"accounts\":%" PRIu32
                            ",\"outcomes\":{\"taken\":%" PRIu64 ",\"unknown_accounts\":%" PRIu64
                            ",\"other_words\":%" PRIu64 "},\"cards\":[",
                            horizon, cut, until, f->accounts, f->read.taken, f->read.strange, f->read.other);
    for (uint32_t c = 0; c < f->score->card_count; c++) {
        if (c)
            tm_buffer_append_char(out, ',');
        put_json_card(out, f, c);
    }
    tm_buffer_append_text(out, "],");
    put_json_gain(out, "held_out", &f->held_out);
    tm_buffer_append_format(out, ",\"gain_shown\":%s}\n", is_shown(f) ? "true" : "false");
}

void tm_tune_report(const tm_tune_findings *findings, bool json, tm_buffer *out)
{
    if (json)
        put_json(out, findings);
    else
        print_all(out, findings);
}

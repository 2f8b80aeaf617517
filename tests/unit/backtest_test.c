#include "tidemark/insight/backtest.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

/* Days of one long story; DAY(100) is the hundredth. */
#define DAY(n) ((20000 + (n)) * TM_DAY)

static const uint32_t ALL = UINT32_MAX; /* rules */

static const tm_backtest_settings usual = {
    .within = 30 * TM_DAY, .loss = 20 * TM_DAY, .tenure = 56 * TM_DAY, .since = TM_TIME_NONE};

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

/* A back-test with accounts "a", "b" …, all met on day 0, one rule of each kind, and one owner. */
enum { RISK, GROWTH, ADVICE };

static tm_backtest *story(const tm_backtest_settings *settings, uint32_t accounts)
{
    tm_backtest *b = tm_backtest_new(settings);
    cr_assert_not_null(b);
    cr_assert_eq(tm_backtest_rule(b, TM_SLICE_LITERAL("quiet"), TM_KIND_CHURN_RISK), RISK);
    cr_assert_eq(tm_backtest_rule(b, TM_SLICE_LITERAL("growing"), TM_KIND_EXPANSION), GROWTH);
    cr_assert_eq(tm_backtest_rule(b, TM_SLICE_LITERAL("birthday"), TM_KIND_ADVISORY), ADVICE);
    cr_assert_eq(tm_backtest_owner(b, TM_SLICE_LITERAL("kim")), 0);
    for (uint32_t i = 0; i < accounts; i++) {
        char name = (char)('a' + i);
        cr_assert_eq(tm_backtest_account(b, (tm_slice){&name, 1}), i);
        tm_backtest_met(b, i, DAY(0));
    }
    tm_backtest_seen_until(b, DAY(200));
    return b;
}

static void raise_at(tm_backtest *b, uint32_t account, uint32_t rule, tm_severity severity, tm_time t)
{
    cr_assert_eq(tm_backtest_raised(b, account, rule, 0, severity, t), TM_OK);
}

/* An alarm that is over an hour later. */
static void alarm_at(tm_backtest *b, uint32_t account, uint32_t rule, tm_time t)
{
    raise_at(b, account, rule, TM_SEVERITY_WARN, t);
    tm_backtest_cleared(b, account, rule, t + TM_HOUR);
}

static void end_at(tm_backtest *b, char account, tm_ending ending, tm_time t)
{
    cr_assert_eq(tm_backtest_ended(b, (tm_slice){&account, 1}, ending, t, (tm_slice){0}), TM_OK);
}

static tm_backtest_figures figures_of(const tm_backtest *b, uint32_t rule, tm_kind kind, tm_severity severity)
{
    tm_backtest_figures figures;
    cr_assert_eq(tm_backtest_figures_of(b, &(tm_backtest_choice){rule, kind, severity}, &figures), TM_OK);
    return figures;
}

Test(backtest, endings_have_names)
{
    cr_assert_str_eq(tm_ending_name(TM_ENDING_CHURNED), "churned");
    cr_assert_str_eq(tm_ending_name(TM_ENDING_RENEWED), "renewed");
    cr_assert_str_eq(tm_ending_name(TM_ENDING_EXPANDED), "expanded");
    cr_assert_str_eq(tm_ending_name(TM_ENDING_CONTRACTED), "contracted");
}

Test(backtest, accounts_rules_and_owners_are_numbered)
{
    tm_backtest *b = tm_backtest_new(&usual);
    for (uint32_t i = 0; i < 1000; i++) {
        char name[16];
        tm_slice text = {name, (size_t)snprintf(name, sizeof name, "n%u", i)};
        cr_assert_eq(tm_backtest_account(b, text), i);
        cr_assert_eq(tm_backtest_account(b, text), i);
        if (i >= 200)
            continue;
        cr_assert_eq(tm_backtest_rule(b, text, (tm_kind)(i % TM_KINDS)), i);
        cr_assert_eq(tm_backtest_rule(b, text, (tm_kind)((i + 1) % TM_KINDS)), i, "a known one stays as it is");
        cr_assert_eq(tm_backtest_owner(b, text), i);
        cr_assert_eq(tm_backtest_owner(b, text), i);
    }
    cr_assert_eq(tm_backtest_account_count(b), 1000);
    cr_assert_eq(tm_backtest_rule_count(b), 200);
    cr_assert(tm_slice_equal_text(tm_backtest_rule_name(b, 77), "n77"));
    for (uint32_t i = 0; i < 200; i++)
        cr_assert_eq(tm_backtest_rule_kind(b, i), (tm_kind)(i % TM_KINDS));
    cr_assert_eq(tm_backtest_owner(b, (tm_slice){0}), 200, "no owner is one of its own");
    tm_backtest_free(b);
    tm_backtest_free(NULL);
}

Test(backtest, of_nothing_nothing_is_said)
{
    tm_backtest *b = story(&usual, 0);
    cr_assert_eq(tm_backtest_until(b), DAY(200));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    for (int kind = 0; kind < TM_KINDS; kind++) {
        tm_backtest_figures f = figures_of(b, ALL, (tm_kind)kind, TM_SEVERITY_INFO);
        cr_assert_eq(f.alarms + f.hits + f.misses + f.undecided + f.accounts, 0);
        cr_assert(isnan(f.precision.value) && isnan(f.recall.value) && isnan(f.lead.value));
        cr_assert(isnan(f.chance) && isnan(f.false_per_month));
    }
    for (int ending = 0; ending < TM_ENDINGS; ending++)
        cr_assert_eq(tm_backtest_outcome_count(b, (tm_ending)ending), 0);
    tm_ranking ranking;
    uint64_t without;
    cr_assert_eq(tm_backtest_ranking_of(b, &ranking, &without), TM_OK);
    cr_assert(isnan(ranking.area.value) && isnan(ranking.lift.value));
    cr_assert_eq(without, 0);
    tm_backtest_load load;
    cr_assert_eq(tm_backtest_load_of(b, &load), TM_OK);
    cr_assert(isnan(load.mean) && isnan(load.median) && isnan(load.often) && isnan(load.most));
    tm_backtest_free(b);
}

/* One account an edge: what became of its alarm on day 100, where nothing else is said. */
Test(backtest, hits_misses_and_what_is_not_decided)
{
    tm_backtest *b = story(&usual, 11);
    for (uint32_t a = 0; a < 3; a++)
        alarm_at(b, a, RISK, DAY(100));
    alarm_at(b, 3, RISK, DAY(170));
    alarm_at(b, 4, RISK, DAY(170) + 1);
    alarm_at(b, 5, RISK, DAY(190));
    alarm_at(b, 6, RISK, DAY(100));
    alarm_at(b, 7, RISK, DAY(190));
    alarm_at(b, 8, RISK, DAY(100));
    alarm_at(b, 9, RISK, DAY(100));
    alarm_at(b, 9, RISK, DAY(101));
    end_at(b, 'a', TM_ENDING_CHURNED, DAY(130));     /* hit, on the last instant */
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(130) + 1); /* miss, too late */
    end_at(b, 'c', TM_ENDING_EXPANDED, DAY(110));    /* miss: the time passed, another outcome */
    /* d: miss, the time passed to the instant; e: undecided */
    end_at(b, 'f', TM_ENDING_CHURNED, DAY(210)); /* undecided: beyond what was seen */
    end_at(b, 'g', TM_ENDING_CHURNED, DAY(90));  /* none: it had ended */
    end_at(b, 'h', TM_ENDING_RENEWED, DAY(195)); /* undecided: it goes on */
    end_at(b, 'i', TM_ENDING_CHURNED, DAY(80));  /* none */
    end_at(b, 'i', TM_ENDING_CHURNED, DAY(120));
    end_at(b, 'j', TM_ENDING_CHURNED, DAY(120)); /* both alarms hit */
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_backtest_figures f = figures_of(b, RISK, 0, 0);
    cr_assert_eq(f.alarms, 9);
    cr_assert_eq(f.hits, 3);
    cr_assert_eq(f.misses, 3);
    cr_assert_eq(f.undecided, 3);
    cr_assert_eq(f.accounts, 8);
    tm_estimate precision = tm_estimate_proportion(3, 6);
    cr_assert_eq(f.precision.value, 0.5);
    cr_assert_eq(f.precision.low, precision.low);
    cr_assert_eq(f.precision.high, precision.high);
    cr_assert_eq(f.precision.of, 6);
    tm_backtest_free(b);
}

Test(backtest, expansion_is_foretold_by_its_own_kind_and_ended_by_churn)
{
    tm_backtest *b = story(&usual, 3);
    for (uint32_t a = 0; a < 3; a++)
        alarm_at(b, a, GROWTH, DAY(180));
    end_at(b, 'a', TM_ENDING_EXPANDED, DAY(190));
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(190)); /* a miss before its time has passed */
    end_at(b, 'c', TM_ENDING_CONTRACTED, DAY(190));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_backtest_figures f = figures_of(b, ALL, TM_KIND_EXPANSION, TM_SEVERITY_INFO);
    cr_assert_eq(f.alarms, 3);
    cr_assert_eq(f.hits, 1);
    cr_assert_eq(f.misses, 1);
    cr_assert_eq(f.undecided, 1);
    f = figures_of(b, ALL, TM_KIND_CHURN_RISK, TM_SEVERITY_INFO);
    cr_assert_eq(f.alarms, 0);
    cr_assert_eq(f.recall.value, 0, "the loss was not foreseen by its kind");
    cr_assert_eq(f.recall.of, 1);
    tm_backtest_free(b);
}

Test(backtest, advisories_are_only_counted)
{
    tm_backtest *b = story(&usual, 2);
    alarm_at(b, 0, ADVICE, DAY(100));
    alarm_at(b, 0, ADVICE, DAY(110));
    alarm_at(b, 1, ADVICE, DAY(100));
    alarm_at(b, 1, ADVICE, DAY(130)); /* it had ended: none */
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(120));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    for (int all = 0; all < 2; all++) {
        tm_backtest_figures f = figures_of(b, all ? ALL : ADVICE, TM_KIND_ADVISORY, TM_SEVERITY_INFO);
        cr_assert_eq(f.alarms, 3, "%lu", (unsigned long)f.alarms);
        cr_assert_eq(f.accounts, 2, "%lu", (unsigned long)f.accounts);
        cr_assert_eq(f.hits + f.misses + f.undecided, 0);
        cr_assert(isnan(f.precision.value) && isnan(f.recall.value) && isnan(f.lead.value));
        cr_assert(isnan(f.chance) && isnan(f.false_per_month));
    }
    tm_backtest_free(b);
}

Test(backtest, the_greatest_severity_of_an_episode_is_its_own)
{
    tm_backtest *b = story(&usual, 3);
    raise_at(b, 0, RISK, TM_SEVERITY_INFO, DAY(100));
    tm_backtest_updated(b, 0, RISK, TM_SEVERITY_HIGH);
    tm_backtest_updated(b, 0, RISK, TM_SEVERITY_WARN);
    tm_backtest_updated(b, 1, RISK, TM_SEVERITY_CRITICAL); /* not open: nothing */
    tm_backtest_updated(b, 0, GROWTH, TM_SEVERITY_CRITICAL);
    raise_at(b, 1, RISK, TM_SEVERITY_WARN, DAY(101));
    tm_backtest_cleared(b, 1, RISK, DAY(102));
    tm_backtest_updated(b, 1, RISK, TM_SEVERITY_CRITICAL); /* over */
    tm_backtest_cleared(b, 1, RISK, DAY(103));
    raise_at(b, 1, RISK, TM_SEVERITY_INFO, DAY(104)); /* the next, with a severity of its own */
    raise_at(b, 2, GROWTH, TM_SEVERITY_CRITICAL, DAY(105));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    static const uint64_t at_least[] = {3, 2, 1, 0};
    for (int severity = 0; severity < 4; severity++)
        cr_assert_eq(figures_of(b, ALL, TM_KIND_CHURN_RISK, (tm_severity)severity).alarms, at_least[severity]);
    cr_assert_eq(figures_of(b, ALL, TM_KIND_EXPANSION, TM_SEVERITY_CRITICAL).alarms, 1);
    cr_assert_eq(figures_of(b, RISK, TM_KIND_EXPANSION, TM_SEVERITY_CRITICAL).alarms, 3, "a rule is asked for alone");
    tm_backtest_free(b);
}

/* Outcomes on day 150; the time before begins on day 120. */
Test(backtest, an_outcome_is_foreseen_by_an_alarm_open_before_it)
{
    tm_backtest *b = story(&usual, 9);
    raise_at(b, 0, RISK, TM_SEVERITY_INFO, DAY(10)); /* still open: from the begin of the time */
    alarm_at(b, 1, RISK, DAY(140));
    raise_at(b, 2, RISK, TM_SEVERITY_INFO, DAY(100));
    tm_backtest_cleared(b, 2, RISK, DAY(120) + 1);
    raise_at(b, 3, RISK, TM_SEVERITY_INFO, DAY(100));
    tm_backtest_cleared(b, 3, RISK, DAY(119)); /* over too early */
    alarm_at(b, 4, RISK, DAY(151));            /* too late */
    alarm_at(b, 5, GROWTH, DAY(140));          /* of another kind */
    alarm_at(b, 6, RISK, DAY(130));
    alarm_at(b, 6, RISK, DAY(145)); /* the first of two */
    alarm_at(b, 8, RISK, DAY(140));
    tm_backtest_seen_until(b, DAY(200));
    for (int i = 0; i < 8; i++)
        end_at(b, (char)('a' + i), TM_ENDING_CHURNED, DAY(150));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_backtest_figures f = figures_of(b, ALL, TM_KIND_CHURN_RISK, TM_SEVERITY_INFO);
    cr_assert_eq(f.recall.of, 8);
    cr_assert_eq(f.recall.value, 4.0 / 8);
    /* Leads of 30, 10, 30 and 20 days. */
    cr_assert_eq(f.lead.of, 4);
    cr_assert_eq(f.lead.value, 25.0 * TM_DAY);
    for (size_t i = 0; i < 8; i++) {
        tm_backtest_outcome o = tm_backtest_outcome_at(b, TM_ENDING_CHURNED, i);
        bool foreseen = i == 0 || i == 1 || i == 2 || i == 6;
        cr_assert_eq(o.first_rule, foreseen ? (uint32_t)RISK : UINT32_MAX, "%zu", i);
        cr_assert(o.counts);
        cr_assert_eq(o.t, DAY(150));
        cr_assert_null(o.reason.data);
        cr_assert(isnan(o.mrr));
    }
    tm_backtest_free(b);
}

Test(backtest, the_first_rule_is_that_of_the_first_alarm)
{
    tm_backtest *b = story(&usual, 1);
    cr_assert_eq(tm_backtest_rule(b, TM_SLICE_LITERAL("late"), TM_KIND_CHURN_RISK), 3);
    alarm_at(b, 0, 3, DAY(100)); /* before the time */
    alarm_at(b, 0, GROWTH, DAY(125));
    alarm_at(b, 0, RISK, DAY(130));
    alarm_at(b, 0, 3, DAY(140));
    end_at(b, 'a', TM_ENDING_CHURNED, DAY(150));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    cr_assert_eq(tm_backtest_outcome_at(b, TM_ENDING_CHURNED, 0).first_rule, RISK);
    cr_assert_eq(figures_of(b, 3, 0, 0).recall.value, 1, "each rule is asked by itself");
    cr_assert_eq(figures_of(b, 3, 0, 0).lead.value, 10.0 * TM_DAY);
    tm_backtest_free(b);
}

Test(backtest, outcomes_in_order_of_time_with_what_was_paid_and_why)
{
    tm_backtest *b = story(&usual, 4);
    cr_assert_eq(tm_backtest_account(b, TM_SLICE_LITERAL("unmet")), 4);
    cr_assert_eq(tm_backtest_snapshot(b, 0, DAY(80), 1, 100), TM_OK);
    cr_assert_eq(tm_backtest_snapshot(b, 0, DAY(90), 1, 250.5), TM_OK);
    cr_assert_eq(tm_backtest_snapshot(b, 1, DAY(90), 1, 7), TM_OK);
    cr_assert_eq(tm_backtest_snapshot(b, 0, DAY(97), 1, 300), TM_OK);
    char reason[] = "price";
    cr_assert_eq(tm_backtest_ended(b, TM_SLICE_LITERAL("a"), TM_ENDING_CHURNED, DAY(95), tm_slice_of(reason)), TM_OK);
    reason[0] = 'X';
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(90)); /* a snapshot of its own instant is not before it */
    end_at(b, 'c', TM_ENDING_CHURNED, DAY(55)); /* known too short a time */
    end_at(b, 'd', TM_ENDING_RENEWED, DAY(56)); /* just long enough */
    cr_assert_eq(tm_backtest_ended(b, TM_SLICE_LITERAL("d"), TM_ENDING_CHURNED, DAY(201), TM_SLICE_LITERAL("")), TM_OK);
    cr_assert_eq(tm_backtest_ended(b, TM_SLICE_LITERAL("unmet"), TM_ENDING_CHURNED, DAY(199), (tm_slice){0}), TM_OK);
    cr_assert_eq(tm_backtest_ended(b, TM_SLICE_LITERAL("nobody"), TM_ENDING_CHURNED, DAY(60), (tm_slice){0}),
                 TM_REJECT);
    end_at(b, 'a', TM_ENDING_EXPANDED, DAY(96)); /* after it had ended */
    end_at(b, 'a', TM_ENDING_EXPANDED, DAY(98));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    cr_assert_eq(tm_backtest_outcome_count(b, TM_ENDING_CHURNED), 5);
    cr_assert_eq(tm_backtest_outcome_count(b, TM_ENDING_RENEWED), 1);
    cr_assert_eq(tm_backtest_outcome_count(b, TM_ENDING_EXPANDED), 2);
    cr_assert_eq(tm_backtest_outcome_count(b, TM_ENDING_CONTRACTED), 0);
    static const struct {
        const char *account, *reason;
        tm_time t;
        double mrr;
        bool counts;
    } wanted[] = {{"c", NULL, DAY(55), NAN, false},
                  {"b", NULL, DAY(90), NAN, true},
                  {"a", "price", DAY(95), 250.5, true},
                  {"unmet", NULL, DAY(199), NAN, false},
                  {"d", NULL, DAY(201), NAN, false}};
    for (size_t i = 0; i < 5; i++) {
        tm_backtest_outcome o = tm_backtest_outcome_at(b, TM_ENDING_CHURNED, i);
        cr_assert(tm_slice_equal_text(o.account, wanted[i].account), "%zu", i);
        cr_assert(wanted[i].reason ? tm_slice_equal_text(o.reason, wanted[i].reason) : !o.reason.data);
        cr_assert_eq(o.t, wanted[i].t);
        cr_assert(near(o.mrr, wanted[i].mrr), "%zu: %f", i, o.mrr);
        cr_assert_eq(o.counts, wanted[i].counts, "%zu", i);
    }
    cr_assert(tm_backtest_outcome_at(b, TM_ENDING_RENEWED, 0).counts);
    tm_backtest_outcome late = tm_backtest_outcome_at(b, TM_ENDING_EXPANDED, 1);
    cr_assert_eq(late.mrr, 300, "of the same account's next outcome");
    cr_assert_not(late.counts);
    tm_backtest_free(b);
}

/* Of the accounts that never left: a misses twice in 200 days, b not at all in 200; c, met on day 100 and gone … never.
   d leaves: neither its miss nor its days count. 3 misses in (200 + 200 + 100) / 30 months. */
Test(backtest, false_alarms_by_account_and_month)
{
    tm_backtest *b = story(&usual, 2);
    cr_assert_eq(tm_backtest_account(b, TM_SLICE_LITERAL("c")), 2);
    tm_backtest_met(b, 2, DAY(100));
    tm_backtest_met(b, 2, DAY(150)); /* its first record was before */
    cr_assert_eq(tm_backtest_account(b, TM_SLICE_LITERAL("d")), 3);
    tm_backtest_met(b, 3, DAY(0));
    alarm_at(b, 0, RISK, DAY(50));
    alarm_at(b, 0, RISK, DAY(60));
    alarm_at(b, 3, RISK, DAY(70)); /* a miss of one that comes to it later */
    alarm_at(b, 2, RISK, DAY(120));
    alarm_at(b, 2, RISK, DAY(199)); /* not decided */
    end_at(b, 'd', TM_ENDING_CHURNED, DAY(180));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_backtest_figures f = figures_of(b, RISK, 0, 0);
    cr_assert_eq(f.misses, 4);
    cr_assert(near(f.false_per_month, 3 / (500.0 / 30)), "%f", f.false_per_month);
    tm_backtest_free(b);

    b = story(&usual, 2); /* of expansion: churn ends an account's days, a's 200 and b's 60 */
    alarm_at(b, 0, GROWTH, DAY(50));
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(60));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    cr_assert(near(figures_of(b, GROWTH, 0, 0).false_per_month, 1 / (260.0 / 30)));
    tm_backtest_free(b);
}

/* Snapshots a to d on days 100, 170, 180: known are a's, b's first (gone within 30 days), its second (gone), and those
   of c and d whose 30 days are over by day 200: 100 and 170. */
Test(backtest, chance_is_what_snapshots_come_to)
{
    tm_backtest *b = story(&usual, 4);
    for (uint32_t a = 0; a < 4; a++)
        for (int i = 0; i < 3; i++)
            cr_assert_eq(tm_backtest_snapshot(b, a, DAY(i == 0 ? 100 : 160 + 10 * i), NAN, NAN), TM_OK);
    end_at(b, 'a', TM_ENDING_CHURNED, DAY(195)); /* no, yes, yes */
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(130)); /* yes, and gone */
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    cr_assert(near(figures_of(b, RISK, 0, 0).chance, 3.0 / 8), "%f", figures_of(b, RISK, 0, 0).chance);
    cr_assert_eq(figures_of(b, GROWTH, 0, 0).chance, 0);
    tm_backtest_free(b);
}

/* 201 days: 28 whole weeks and five days more. Kim has 3 in the first week and 1 in the last, nobody 1 in the second,
   and one falls behind the last whole week: of 56 pairs one has 3, two have 1. */
Test(backtest, load_by_owner_and_week)
{
    tm_backtest *b = story(&usual, 2);
    tm_backtest_seen_until(b, DAY(201));
    uint32_t nobody = tm_backtest_owner(b, (tm_slice){0});
    cr_assert_eq(nobody, 1);
    raise_at(b, 0, RISK, TM_SEVERITY_INFO, DAY(0));
    raise_at(b, 1, GROWTH, TM_SEVERITY_INFO, DAY(3));
    raise_at(b, 1, ADVICE, TM_SEVERITY_INFO, DAY(7) - 1);
    cr_assert_eq(tm_backtest_raised(b, 0, ADVICE, nobody, TM_SEVERITY_INFO, DAY(7)), TM_OK);
    raise_at(b, 1, RISK, TM_SEVERITY_INFO, DAY(196) - 1);
    raise_at(b, 0, GROWTH, TM_SEVERITY_INFO, DAY(196));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_backtest_load load;
    cr_assert_eq(tm_backtest_load_of(b, &load), TM_OK);
    cr_assert_eq(load.owners, 2);
    cr_assert_eq(load.weeks, 28);
    cr_assert(near(load.mean, 5.0 / 56));
    cr_assert_eq(load.median, 0);
    cr_assert_eq(load.often, 1, "rank 54 of 56, where 53 are 0");
    cr_assert_eq(load.most, 3);
    tm_backtest_free(b);

    b = story(&usual, 1);
    tm_backtest_seen_until(b, DAY(7) - 1); /* no whole week */
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    cr_assert_eq(tm_backtest_load_of(b, &load), TM_OK);
    cr_assert(isnan(load.mean));
    cr_assert_eq(load.weeks, 0);
    tm_backtest_free(b);
}

/* Within 20 days of day 100: a and b are gone, c, d and e not. Scores 1 and 3 against 2, 3 and 5: the lost one is lower
   in 3 + (½ + 1) of 6 pairs. */
Test(backtest, ranking_by_score)
{
    static const double scores[] = {1, 3, 2, 3, 5};
    tm_backtest *b = story(&usual, 6);
    cr_assert_eq(tm_backtest_account(b, TM_SLICE_LITERAL("unmet")), 6);
    for (uint32_t a = 0; a < 5; a++)
        cr_assert_eq(tm_backtest_snapshot(b, a, DAY(100), scores[a], NAN), TM_OK);
    cr_assert_eq(tm_backtest_snapshot(b, 5, DAY(100), NAN, NAN), TM_OK);      /* without a score */
    cr_assert_eq(tm_backtest_snapshot(b, 2, DAY(55), 100, NAN), TM_OK);       /* known too short a time */
    cr_assert_eq(tm_backtest_snapshot(b, 6, DAY(100), 100, NAN), TM_OK);      /* not known at all */
    cr_assert_eq(tm_backtest_snapshot(b, 0, DAY(120), -100, NAN), TM_OK);     /* gone */
    cr_assert_eq(tm_backtest_snapshot(b, 3, DAY(180) + 1, -100, NAN), TM_OK); /* its loss not over by the end … */
    cr_assert_eq(tm_backtest_snapshot(b, 4, DAY(181), -100, NAN), TM_OK);     /* … though it is known of this one */
    end_at(b, 'a', TM_ENDING_CHURNED, DAY(120));
    end_at(b, 'b', TM_ENDING_CHURNED, DAY(110));
    end_at(b, 'c', TM_ENDING_CHURNED, DAY(120) + 1);
    end_at(b, 'e', TM_ENDING_CHURNED, DAY(190));
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_ranking ranking;
    uint64_t without;
    cr_assert_eq(tm_backtest_ranking_of(b, &ranking, &without), TM_OK);
    cr_assert_eq(without, 1);
    cr_assert_eq(ranking.came, 2);
    cr_assert_eq(ranking.area.of, 5);
    cr_assert(near(ranking.area.value, 4.5 / 6), "%f", ranking.area.value);
    tm_backtest_free(b);
}

Test(backtest, what_was_before_since_does_not_count)
{
    tm_backtest_settings settings = usual;
    settings.since = DAY(100);
    tm_backtest *b = story(&settings, 4);
    raise_at(b, 0, RISK, TM_SEVERITY_INFO, DAY(99)); /* foresees, but is not counted */
    raise_at(b, 1, RISK, TM_SEVERITY_INFO, DAY(100));
    raise_at(b, 3, ADVICE, TM_SEVERITY_INFO, DAY(99));
    for (uint32_t a = 0; a < 4; a++) {
        cr_assert_eq(tm_backtest_snapshot(b, a, DAY(99), a, NAN), TM_OK);
        cr_assert_eq(tm_backtest_snapshot(b, a, DAY(100), a, NAN), TM_OK);
    }
    end_at(b, 'a', TM_ENDING_CHURNED, DAY(110));
    end_at(b, 'c', TM_ENDING_CHURNED, DAY(100) - 1); /* before */
    cr_assert_eq(tm_backtest_judge(b), TM_OK);
    tm_backtest_figures f = figures_of(b, RISK, 0, 0);
    cr_assert_eq(f.alarms, 1);
    cr_assert_eq(f.misses, 1);
    cr_assert_eq(f.recall.of, 1);
    cr_assert_eq(f.recall.value, 1);
    cr_assert(near(f.chance, 1.0 / 3));
    cr_assert(near(f.false_per_month, 1 / (200.0 / 30)), "100 days each of b and d: %f", f.false_per_month);
    cr_assert_eq(figures_of(b, ADVICE, 0, 0).alarms, 0);
    tm_ranking ranking;
    uint64_t without;
    cr_assert_eq(tm_backtest_ranking_of(b, &ranking, &without), TM_OK);
    cr_assert_eq(ranking.area.of, 3);
    tm_backtest_load load;
    cr_assert_eq(tm_backtest_load_of(b, &load), TM_OK);
    cr_assert_eq(load.weeks, 14);
    cr_assert(near(load.mean, 1.0 / 14));
    tm_backtest_free(b);
}

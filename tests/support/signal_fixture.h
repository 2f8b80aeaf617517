/* A signal with everything that one points at: an account with facts, a rule with its texts, a pack that knows the
   expressions. Tests change what they look at. */
#ifndef TIDEMARK_TESTS_SIGNAL_FIXTURE_H
#define TIDEMARK_TESTS_SIGNAL_FIXTURE_H

#include "tidemark/codec/signal.h"

typedef struct signal_fixture {
    tm_heap *heap;
    tm_facts *facts;
    tm_account account;
    tm_node nodes[4];
    uint32_t evidence[3];
    tm_summary_part summary[2];
    tm_rule rule;
    tm_by_tier play;
    tm_route route;
    tm_pack pack;
    tm_signal signal;
    tm_signal_origin origin;
} signal_fixture;

/* usage_drop of acme, raised at 2024-05-02T14:38:00Z. Undone with signal_fixture_done. */
static inline void signal_fixture_init(signal_fixture *f)
{
    static tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.plan = TM_SLICE_LITERAL("team");
    draft.tier = TM_SLICE_LITERAL("high");
    draft.seats = 40 * TM_FIXED_ONE;
    draft.mrr = 1960 * TM_FIXED_ONE + TM_FIXED_ONE / 2;
    draft.renewal_at = (tm_contract_date){.text = TM_SLICE_LITERAL("2024-07-01"), .day = 19905};
    draft.owner_count = 2;
    draft.owners[0] = (tm_fact_entry){TM_SLICE_LITERAL("csm"), tm_value_string(TM_SLICE_LITERAL("mina"))};
    draft.owners[1] = (tm_fact_entry){TM_SLICE_LITERAL("sales"), tm_value_string(TM_SLICE_LITERAL("jo"))};
    *f = (signal_fixture){.heap = tm_heap_new(0)};
    f->facts = tm_facts_new(f->heap, &draft);
    f->account = (tm_account){.key = TM_SLICE_LITERAL("acme"), .facts = f->facts, .input_offset = 81234};
    f->nodes[0].text = TM_SLICE_LITERAL("ratio(events[7d offset 1d], events[7d offset 8d])");
    f->nodes[1].text = TM_SLICE_LITERAL("events[7d offset 1d]");
    f->nodes[2].text = TM_SLICE_LITERAL("events[7d offset 8d]");
    f->nodes[3].text = TM_SLICE_LITERAL("age(events)");
    for (uint32_t i = 0; i < 3; i++)
        f->evidence[i] = i;
    f->summary[0] = (tm_summary_part){TM_SLICE_LITERAL("Usage fell to "), 0, TM_FORMAT_PERCENT};
    f->summary[1] = (tm_summary_part){TM_SLICE_LITERAL(" of the week before"), TM_NODE_NONE, TM_FORMAT_PLAIN};
    f->rule = (tm_rule){.name = TM_SLICE_LITERAL("usage_drop"),
                        .kind = TM_KIND_CHURN_RISK,
                        .summary = f->summary,
                        .summary_count = 2,
                        .evidence = f->evidence,
                        .evidence_count = 3};
    f->play = (tm_by_tier){.otherwise = TM_SLICE_LITERAL("Send the re-engagement sequence"),
                           .choices = {{TM_SLICE_LITERAL("tech"), TM_SLICE_LITERAL("In-app guide")},
                                       {TM_SLICE_LITERAL("high"), TM_SLICE_LITERAL("Call the champion")}},
                           .choice_count = 2};
    f->route =
        (tm_route){TM_NODE_NONE, TM_SLICE_LITERAL("cs-emea"), TM_SLICE_LITERAL("csm"), TM_SLICE_LITERAL("sales")};
    f->pack =
        (tm_pack){.version = 7, .program = {.nodes = f->nodes, .node_count = 4}, .rules = &f->rule, .rule_count = 1};
    f->signal = (tm_signal){.account = &f->account,
                            .facts = f->facts,
                            .pack = &f->pack,
                            .rule = &f->rule,
                            .rule_name = f->rule.name,
                            .kind = TM_KIND_CHURN_RISK,
                            .state = TM_SIGNAL_RAISED,
                            .severity = TM_SEVERITY_HIGH,
                            .time = INT64_C(1714660680000),
                            .raised_at = INT64_C(1714660680000),
                            .sequence = 1,
                            .value = tm_value_number(0.44),
                            .threshold = tm_value_number(0.5),
                            .clear_threshold = tm_value_number(0.8),
                            .evidence = {tm_value_number(0.44), tm_value_number(88), tm_value_number(200)},
                            .summary = {tm_value_number(0.44)},
                            .tier = TM_SLICE_LITERAL("high"),
                            .play = &f->play,
                            .route = &f->route,
                            .rules_version = 7,
                            .acknowledged_at = TM_TIME_NONE,
                            .zone = tm_zone_utc()};
    f->origin = (tm_signal_origin){.group = TM_SLICE_LITERAL("tidemark"),
                                   .partition = 3,
                                   .topics = {TM_SLICE_LITERAL("usage"), TM_SLICE_LITERAL("accounts")}};
}

static inline void signal_fixture_done(signal_fixture *f)
{
    tm_heap_free_all(f->heap);
}

#endif

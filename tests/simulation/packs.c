/* The rules of the simulation, as text. What they mean is written once more, by hand, in meaning.c. */
#include "sim.h"

#define PACK_0                                                                                                         \
    "metrics:\n"                                                                                                       \
    "  events: {count: '*'}\n"                                                                                         \
    "  users:  {distinct: user}\n"                                                                                     \
    "  amount: {sum: value, event: buy}\n"                                                                             \
    "  mood:   {last: value, event: mood}\n"                                                                           \
    "rules:\n"
#define PACK_1                                                                                                         \
    "metrics:\n"                                                                                                       \
    "  logins: {count: login}\n"                                                                                       \
    "  big:    {count: '*', where: 'value >= 10'}\n"                                                                   \
    "  top:    {max: value, event: buy}\n"                                                                             \
    "  kinds:  {distinct: event}\n"                                                                                    \
    "rules:\n"
#define PACK_2                                                                                                         \
    "metrics:\n"                                                                                                       \
    "  users:  {distinct: user}\n"                                                                                     \
    "  moves:  {count: [buy, export]}\n"                                                                               \
    "  paid:   {sum: value, event: buy}\n"                                                                             \
    "rules:\n"

static const char *const texts[SIM_PACKS][2] = {
    {"version: 1\n" PACK_0
     "  - {name: held_back, kind: advisory, when: 'events[3h] >= 2', inhibited_by: [busy], inhibit_tail: 90m, "
     "clear_for: 20m}\n"
     "  - {name: busy, kind: expansion, when: 'events[2h] >= 4', for: 30m, clear: 'events[2h] <= 1', clear_for: 1h, "
     "cooldown: 2h}\n"
     "  - {name: quiet, kind: churn_risk, severity: \"if(age(events) >= 3h, 'critical', 'warn')\", "
     "when: 'age(events) >= 1h', value: 'age(events)', cooldown: 1h}\n"
     "  - {name: spend, kind: expansion, severity: \"if(amount[6h] > 60, 'high', null)\", when: 'amount[6h] >= 20', "
     "update_change: 0.1}\n"
     "  - {name: thin, kind: churn_risk, when: 'users[1d] < 2 and seats >= 3', for: 1h, scope: \"coalesce(status, "
     "'active') != 'left'\"}\n"
     "  - {name: sad, kind: churn_risk, severity: {high: critical, low: info, default: warn}, when: 'mood < 4', "
     "cooldown: once}\n",
     "version: 2\n" PACK_0
     "  - {name: held_back, kind: advisory, when: 'events[3h] >= 2', inhibited_by: [busy], inhibit_tail: 10m, "
     "clear_for: 20m}\n"
     "  - {name: busy, kind: expansion, severity: high, when: 'events[2h] >= 3', clear: 'events[2h] <= 1', clear_for: "
     "10m, cooldown: 20m}\n"
     "  - {name: spend, kind: expansion, severity: \"if(amount[6h] > 60, 'high', null)\", when: 'amount[6h] >= 20', "
     "update_change: 0.1}\n"
     "  - {name: thin, kind: churn_risk, severity: info, when: 'users[1d] < 2 and seats >= 3', for: 20m, scope: "
     "\"coalesce(status, 'active') != 'left'\"}\n"
     "  - {name: sad, kind: churn_risk, severity: {high: critical, low: info, default: warn}, when: 'mood < 4', "
     "cooldown: 10m}\n"
     "  - {name: fresh, kind: advisory, when: 'users[1d] >= 2'}\n"},

    {"version: 1\n" PACK_1
     "  - {name: gone, kind: churn_risk, severity: high, when: 'logins[1h] == 0', for: 10m, clear: 'logins[1h] >= 1'}\n"
     "  - {name: rich, kind: expansion, when: 'top[4h] >= 12', value: 'top[4h]', cooldown: 30m, clear_for: 15m}\n"
     "  - {name: many, kind: advisory, when: 'big[1h] >= 2', inhibited_by: [gone]}\n"
     "  - {name: broad, kind: expansion, when: 'kinds[2h] >= 3', for: 15m, clear_for: 30m}\n",
     "version: 2\n" PACK_1
     "  - {name: gone, kind: churn_risk, severity: critical, when: 'logins[1h] == 0', for: 30m, clear: 'logins[1h] >= "
     "1'}\n"
     "  - {name: many, kind: advisory, when: 'big[1h] >= 2'}\n"
     "  - {name: broad, kind: expansion, when: 'kinds[2h] >= 3', for: 15m, clear_for: 5m}\n"
     "  - {name: wide, kind: advisory, when: 'kinds[2h] >= 2', cooldown: once}\n"},

    {"version: 1\n" PACK_2
     "  - {name: small, kind: advisory, severity: info, when: 'seats < 4', for: 20m, cooldown: 10m}\n"
     "  - {name: unused, kind: churn_risk, when: 'ratio(users[6h], seats) < 0.5', for: 45m, clear: "
     "'ratio(users[6h], seats) >= 0.5', inhibited_by: [small], inhibit_tail: 30m}\n"
     "  - {name: gold, kind: expansion, scope: \"tier == 'high'\", when: 'paid[3h] >= 10', clear_for: 10m}\n"
     "  - {name: still, kind: churn_risk, severity: critical, when: 'moves[2h] == 0 and seats != null', for: 30m, "
     "cooldown: once}\n",
     "version: 2\n" PACK_2
     "  - {name: small, kind: advisory, severity: info, when: 'seats < 2', for: 20m, cooldown: 10m}\n"
     "  - {name: unused, kind: churn_risk, when: 'ratio(users[6h], seats) < 0.5', for: 10m, clear: "
     "'ratio(users[6h], seats) >= 0.5', inhibited_by: [small]}\n"
     "  - {name: gold, kind: expansion, when: 'paid[3h] >= 10', clear_for: 10m}\n"
     "  - {name: brisk, kind: expansion, severity: high, when: 'moves[2h] >= 2'}\n"},
};

const char *sim_pack_text(int number, int version)
{
    return texts[number][version];
}

static const char *const events[] = {"login", "buy", "mood", "export"};
static const char *const tiers[] = {"high", "low"};
static const char *const statuses[] = {"active", "left"};

const char *sim_event_name(int name)
{
    return events[name];
}

const char *sim_tier_name(int tier)
{
    return tier < 0 ? NULL : tiers[tier];
}

const char *sim_status_name(int status)
{
    return status < 0 ? NULL : statuses[status];
}

/* Every bound of the system, named, in one place. What goes beyond one is refused or reported, never silently cut. */
#ifndef TIDEMARK_BASE_LIMITS_H
#define TIDEMARK_BASE_LIMITS_H

enum {
    /* Input records */
    TM_EVENT_ID_MAX = 128,      /* bytes */
    TM_ACCOUNT_ID_MAX = 128,    /* bytes; also the key of every record */
    TM_EVENT_NAME_MAX = 64,     /* bytes */
    TM_USER_ID_MAX = 256,       /* bytes */
    TM_SOURCE_MAX = 256,        /* bytes; CloudEvents' source is a URI reference */
    TM_PROPERTY_NAME_MAX = 64,  /* bytes */
    TM_PROPERTY_TEXT_MAX = 512, /* bytes of a string value */
    TM_PROPERTIES_MAX = 64,     /* a record */
    TM_RECORD_MAX = 1 << 20,    /* bytes of one usage record or account record */
    TM_JSON_DEPTH_MAX = 16,     /* nesting of any input record */
    TM_FACT_TEXT_MAX = 256,     /* bytes of one text field of an account record */
    TM_FACT_LIST_MAX = 64,      /* owners, goals, attributes, products: entries each */
    TM_CHAMPIONS_MAX = 256,     /* user ids of an account record */

    /* Packs */
    TM_NAME_MAX = 64,          /* bytes of a rule's or metric's name */
    TM_METRICS_MAX = 256,      /* a pack */
    TM_RULES_MAX = 256,        /* a pack */
    TM_CARDS_MAX = 64,         /* scorecards of a pack */
    TM_FACTORS_MAX = 32,       /* of a scorecard */
    TM_MAP_POINTS_MAX = 32,    /* of a factor's map */
    TM_STAGES_MAX = 32,        /* a pack */
    TM_STAGE_CHANGES_MAX = 16, /* remembered of an account */
    TM_TENURES_MAX = 32,       /* changes of card, version or stage remembered of an account's score */
    TM_PATTERNS_MAX = 64,      /* event patterns of a metric */
    TM_INHIBITORS_MAX = 16,    /* a rule */
    TM_CASES_MAX = 64,         /* of a route or a play */
    TM_FLAPPING_MAX = 8,       /* the episode that counts as flapping: at most the eighth */
    TM_EXPRESSION_MAX = 4096,  /* bytes of an expression's text */
    TM_EXPRESSION_DEPTH_MAX = 64,
    TM_PROGRAM_NODES_MAX = 16384, /* a pack */
    TM_ARGUMENTS_MAX = 16,        /* of one function call */
    TM_SUMMARY_MAX = 512,         /* bytes of a rendered summary */
    TM_SUMMARY_PARTS_MAX = 32,
    TM_EVIDENCE_MAX = 32,       /* sub-expressions shown in a signal */
    TM_PACK_FILE_MAX = 1 << 20, /* bytes of rules.yaml or tidemark.yaml */

    /* Windows */
    TM_REACH_DAYS_MAX = 400, /* days a count, sum, last, max or first keeps */
    TM_REACH_DISTINCT_DAYS_MAX = 62,
    TM_REACH_HOURS_MAX = 62 * 24,
    TM_DISTINCT_CAP = 4096, /* members of an account and metric counted exactly */

    /* Outputs */
    TM_EPISODE_KEY_MAX = 255,         /* bytes; fits a PagerDuty dedup_key */
    TM_DEAD_LETTER_MIN = 4096,        /* bytes: room that every dead letter has without its key and value */
    TM_JOURNAL_LINE_MAX = 32 << 20,   /* bytes of a journal line read back */
    TM_CONFIGURATION_TEXT_MAX = 1024, /* bytes of a name in the configuration: group, zone, version */

    /* Memory */
    TM_DEDUP_ENTRIES_DEFAULT = 4000000, /* fingerprints a shard keeps; 32 bytes each while in use */
};

/* Greatest magnitude of any number read from a record: nine thousand million (semantics: Numbers). */
#define TM_NUMBER_MAX 9.0e9

#endif

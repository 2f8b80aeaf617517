#include "tidemark/pipeline/halts.h"

static const char *const codes[TM_HALTS] = {"",
                                            "offsets_foreign",
                                            "offsets_moved",
                                            "offsets_older",
                                            "offsets_expired",
                                            "topic_recreated",
                                            "topic_cut",
                                            "partitions_changed",
                                            "rules_older",
                                            "configuration_changed",
                                            "state_damaged",
                                            "state_foreign",
                                            "journal_damaged",
                                            "journal_short",
                                            "journal_configuration",
                                            "rules_lost",
                                            "memory",
                                            "write_failed",
                                            "invariant"};

const char *tm_halt_code(tm_halt halt)
{
    return halt >= TM_HALT_NONE && halt < TM_HALTS ? codes[halt] : "";
}

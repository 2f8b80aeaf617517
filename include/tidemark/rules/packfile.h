/* rules.yaml to a finished pack. The keys are listed in docs/rules.md; expressions in docs/expressions.md. */
#ifndef TIDEMARK_RULES_PACKFILE_H
#define TIDEMARK_RULES_PACKFILE_H

#include "tidemark/core/pack.h"
#include "tidemark/rules/diagnostics.h"

/* All members may be zero. */
typedef struct tm_packfile_options {
    /* Expressions compiled into the pack's program besides those of the file, so that the metrics' reach covers them:
       what `eval` was asked. Errors in the i-th stand under the name "expression i+1". */
    const tm_slice *expressions;
    uint32_t expression_count;
    uint32_t *ret_nodes;         /* expression_count entries, filled on success */
    tm_diagnostics *diagnostics; /* where every error goes, in the order of the file; zeroed by the caller */
} tm_packfile_options;

/* Reads a rules file: metrics, rules, their expressions, defaults and names, then tm_pack_finish. `file_name` is what
   errors call it. `options` may be NULL.
   TM_OK with a pack to be freed with tm_pack_free; TM_REJECT when the file is wrong: `error` holds the first of up to
   TM_DIAGNOSTICS_MAX errors, options->diagnostics all of them; TM_FATAL without memory. */
tm_status tm_packfile_parse(tm_slice text, const char *file_name, const tm_packfile_options *options,
                            tm_pack **ret_pack, tm_error *error);

#endif

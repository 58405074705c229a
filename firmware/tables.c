/* The one place where the constants declared in the generated stapes_tables.h take flash. */
#define STAPES_TABLES_DEFINE
#include "stapes_tables.h"

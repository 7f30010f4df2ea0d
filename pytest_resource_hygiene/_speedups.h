/* What the parts in C know of one another. */

#ifndef RESOURCE_HYGIENE_SPEEDUPS_H
#define RESOURCE_HYGIENE_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define KNOWN_FILES 32
#define KNOWN_STACKS 16
#define KNOWN_DEPTH 32

/* Whether a stack ends at a file; by the address of its name, which the reference keeps its own. */
typedef struct {
    PyObject *name;
    int ends;
} KnownFile;

/* A stack that was taken down before: a loop, and each test with a loop of its own, makes the same
 * things again. It is known by all frames that were gone through, of which some are left out. */
typedef struct {
    PyObject *stack; /* what was taken down; NULL if there is none */
    PyObject *code[KNOWN_DEPTH];
    int offset[KNOWN_DEPTH]; /* or ANYWHERE */
    int count;
    int is_whole; /* there was no frame beyond */
} KnownStack;

typedef struct {
    PyObject_HEAD
    PyObject *stop_files; /* frozenset of str */
    KnownFile known[KNOWN_FILES];
    PyObject *own_file;
    PyObject *owner_var; /* ContextVar */
    PyObject *window;
    PyObject *begun; /* whose window was opened last, by its own beginning */
    unsigned long long begins; /* how many have been */
    unsigned long long pulse;
    unsigned long long lasting; /* the part of it that is not of what passes */
    unsigned long main_ident;
    KnownStack stacks[KNOWN_STACKS];
} Sites;

/* Kept by the module, which is never unloaded. */
extern PyTypeObject *sites_type;

#define SITE_PARENT 3 /* in a record: how the thread was made; None for the main one */
#define SITE_PARTS 5

/* What a record has of a place, from `depth` frames above the function that runs; see `Sites.site`. */
PyObject *take_down(Sites *sites, PyObject *what, long depth, int passes);

/* Borrowed from the module; NULL with an exception set. */
PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name);

/* Open another window if the owner's is open; -1 with an exception set. */
int end_window(Sites *sites, PyObject *owner, PyObject *window);

/* Each puts what its file has into the module; -1 with an exception set. */
int add_sites(PyObject *module);
int add_stand_ins(PyObject *module);
int add_probes(PyObject *module);
int add_objects(PyObject *module);
int add_system(PyObject *module);

#endif

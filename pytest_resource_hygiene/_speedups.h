/* What the parts in C know of one another. */

#ifndef RESOURCE_HYGIENE_SPEEDUPS_H
#define RESOURCE_HYGIENE_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define KNOWN_FILES 32

/* Whether a stack ends at a file; by the address of its name, which the reference keeps its own. */
typedef struct {
    PyObject *name;
    int ends;
} KnownFile;

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
    PyObject *last_stack; /* a loop makes the same things again: one tuple for all of them */
    unsigned long main_ident;
} Sites;

/* Kept by the module, which is never unloaded. */
extern PyTypeObject *sites_type;

/* Borrowed from the module; NULL with an exception set. */
PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name);

/* Open another window if the owner's is open; -1 with an exception set. */
int end_window(Sites *sites, PyObject *owner, PyObject *window);

/* The types of _probes.c; -1 with an exception set. */
int add_probes(PyObject *module);

#endif

"""A results folder as static HTML that opens without network, and a PDF or PNG per patient.

Everything shown stands in the tables; nothing is computed here but where things are drawn, and no
FCS file is read. Whatever comes from sheets and files is escaped, and pages carry a policy that
runs no script but ours.
"""
